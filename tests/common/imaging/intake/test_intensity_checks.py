from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.imaging.intake.intensity_checks import (
    brain_mask_marks_a_brain,
    brightest_is_not_clipped,
    lesions_are_plausible,
    tissues_are_in_order,
    values_can_be_prepared,
    values_can_be_trained_on,
    values_have_room,
)
from common.imaging.volume import Volume
from tests.opened import only, opened
from tests.tissue_brains import brain_of
from tests.volumes import SHAPE, brain_mask, oblique_affine, put, stripped_brain, two_lesions


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


def z_scored() -> Volume:
    """`stripped_brain` with mean 0 and standard deviation 1 inside, exact zeros outside."""
    image = stripped_brain()
    inside = image.data > 0
    image.data[inside] = (image.data[inside] - image.data[inside].mean()) / image.data[inside].std()
    return image


def test_a_few_values_below_zero_are_a_warning_for_both_uses() -> None:
    image = stripped_brain()
    image.data.flat[:27] = -3.5  # 27 of 12 x 14 x 8 = 1344 voxels: 2.0 %
    for check in (values_can_be_prepared, values_can_be_trained_on):
        finding = only(list(check(opened(T1w=image, brain=brain_mask()))))
        assert (finding.level, finding.code) == ("warning", "negative")
        assert "T1w: 2 % of the voxels are below 0, the smallest -3.5" in finding.text
        assert not list(check(opened(T1w=stripped_brain())))


def test_z_scores_cannot_be_prepared_and_may_be_trained_on() -> None:
    blocking = only(list(values_can_be_prepared(opened(FLAIR=z_scored()))))
    assert (blocking.level, blocking.code) == ("blocking", "negative")
    assert "from before any z-score" in blocking.fix
    assert only(list(values_can_be_trained_on(opened(FLAIR=z_scored())))).level == "warning"


def test_a_stripped_image_of_one_value_is_blocking_and_one_with_a_mask_is_left_to_its_check() -> (
    None
):
    label = Volume(brain_mask().data.astype(np.float32), oblique_affine())
    finding = only(list(values_can_be_trained_on(opened(FLAIR=label))))
    assert (finding.level, finding.code) == ("blocking", "zero-brain")
    assert not list(values_can_be_trained_on(opened(FLAIR=label, brain=brain_mask())))


def test_an_inverted_brain_mask_and_one_that_is_everywhere_are_blocking() -> None:
    inverted = Volume(1 - brain_mask().data, oblique_affine())
    everywhere = Volume(np.ones(SHAPE, np.uint8), oblique_affine())
    for mask, text in ((inverted, "inverted"), (everywhere, "the whole field of view")):
        finding = only(list(brain_mask_marks_a_brain(opened(FLAIR=stripped_brain(), brain=mask))))
        assert (finding.level, finding.code) == ("blocking", "brain-mask")
        assert text in finding.text
    assert not list(brain_mask_marks_a_brain(opened(FLAIR=stripped_brain(), brain=brain_mask())))


def test_a_brain_mask_of_the_lesions_alone_is_a_warning() -> None:
    finding = only(
        list(brain_mask_marks_a_brain(opened(T1w=stripped_brain(), brain=two_lesions())))
    )
    assert (finding.level, finding.code) == ("warning", "brain-mask")
    n_brain = np.count_nonzero(brain_mask().data)  # of which the mask has 8 voxels
    assert f"T1w: the brain mask leaves out {1 - 8 / n_brain:.0%} of" in finding.text


def test_exchanged_modalities_are_a_warning_that_names_both() -> None:
    flair, t1w = brain_of("FLAIR"), brain_of("T1w")
    assert not list(tissues_are_in_order(opened(FLAIR=flair, T1w=t1w)))
    finding = only(list(tissues_are_in_order(opened(FLAIR=t1w, T1w=flair))))
    assert (finding.level, finding.code) == ("warning", "tissue-order")
    assert finding.text.startswith("FLAIR, T1w: white matter")


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
