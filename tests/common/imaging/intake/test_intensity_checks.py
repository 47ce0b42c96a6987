from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.imaging.intake.intensity_checks import (
    brightest_is_not_clipped,
    lesions_are_plausible,
    values_are_not_negative,
    values_have_room,
)
from common.imaging.volume import Volume
from tests.opened import only, opened
from tests.volumes import SHAPE, oblique_affine, put, stripped_brain


def with_n_brightest(n: int) -> Volume:
    """1000 voxels above 0, of which `n` hold the largest value."""
    values = np.zeros(int(np.prod(SHAPE)), np.float32)
    values[:1000] = 1 + np.arange(1000) / 2000
    values[:n] = 9
    return Volume(values.reshape(SHAPE), oblique_affine())


@pytest.mark.parametrize(
    ("n", "clipped"), [pytest.param(4, False, id="0.4 %"), pytest.param(5, True, id="0.5 %")]
)
def test_many_voxels_at_the_largest_value_are_clipped(n: int, clipped: bool) -> None:
    found = list(brightest_is_not_clipped(opened(FLAIR=with_n_brightest(n))))
    assert bool(found) == clipped
    if clipped:
        assert "0.5 % of the voxels" in only(found).text


def test_an_image_of_two_values_is_not_called_clipped() -> None:
    assert not list(brightest_is_not_clipped(opened(FLAIR=with_n_brightest(1000))))


def test_values_below_zero_are_counted() -> None:
    image = stripped_brain()
    image.data.flat[:27] = -3.5  # 27 of 12 x 14 x 8 = 1344 voxels: 2.0 %
    finding = only(list(values_are_not_negative(opened(T1w=image))))
    assert "T1w: 2 % of the voxels are below 0, the smallest -3.5" in finding.text
    assert not list(values_are_not_negative(opened(T1w=stripped_brain())))


def test_images_in_8_bits_are_listed_in_one_note(tmp_path: Path) -> None:
    small = Volume(np.ones(SHAPE, np.uint8), oblique_affine())
    case = opened(root=tmp_path, FLAIR=small, T1w=small, T2w=stripped_brain())
    for name, image in case.images.items():
        put(image, case.files.images[name])
    assert only(list(values_have_room(case))).text.endswith("grey values: FLAIR, T1w")


@pytest.mark.parametrize(
    ("n_voxels", "found"),
    [pytest.param(7, True, id="7 x 30 mL = 210 mL"), pytest.param(6, False, id="180 mL")],
)
def test_more_than_200_ml_of_lesion_is_a_warning(n_voxels: int, found: bool) -> None:
    data = np.zeros(SHAPE, np.uint8)
    data.flat[:n_voxels] = 1
    mask = Volume(data, oblique_affine((30.0, 40.0, 25.0)))
    assert bool(list(lesions_are_plausible(opened(FLAIR=mask, lesions=mask)))) == found
