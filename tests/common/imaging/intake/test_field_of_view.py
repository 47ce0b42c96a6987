from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from common.imaging.intake.field_of_view import border_areas_cm2, brain_fits_the_image
from common.imaging.volume import Volume
from tests.heads import head
from tests.opened import only, opened
from tests.volumes import oblique_affine, stripped_brain


def test_the_area_at_each_side_is_that_of_the_outermost_voxels() -> None:
    mask = np.zeros((4, 5, 6), np.bool_)
    mask[:, :2, -1] = True
    areas = border_areas_cm2(Volume(mask, oblique_affine((1.0, 2.0, 3.0))))
    # along k: 4 x 2 voxels of 1 x 2 mm = 16 mm2; at both ends of i: 2 of 2 x 3 mm = 12 mm2;
    # at the low end of j: 4 of 1 x 3 mm = 12 mm2
    expected = {"S": 0.16, "I": 0.0, "R": 0.12, "L": 0.12, "A": 0.0, "P": 0.12}
    assert areas == pytest.approx(expected)


def test_a_whole_head_fits() -> None:
    assert not list(brain_fits_the_image(opened(FLAIR=head())))


def test_a_head_cut_20_mm_below_the_vertex_is_reported() -> None:
    # 88 - 68 = 20 mm: the section of the head has pi x 80 x 95 x (1 - (68 / 88)^2) mm2 = 96 cm2
    finding = only(list(brain_fits_the_image(opened(FLAIR=head(top_mm=68.0)))))
    assert finding.code == "field-of-view"
    assert "the head reaches the border of the image at the top (9" in finding.text
    assert "a heuristic" in finding.text


def test_a_brain_mask_counts_where_there_is_one() -> None:
    image = head(top_mm=68.0)
    low = Volume((image.data > 0).astype(np.uint8), image.affine)
    low.data[:, :, -3:] = 0
    case = opened(FLAIR=image, brain=low)
    finding = only(list(brain_fits_the_image(case)))
    assert "the brain mask reaches the border of the image at the bottom" in finding.text


def test_a_slab_is_reported_with_its_size() -> None:
    finding = only(list(brain_fits_the_image(opened(FLAIR=stripped_brain()))))
    assert (finding.level, finding.code) == ("warning", "slab")
    assert "12 x 18 x 24 mm" in finding.text  # 12 x 1, 14 x 1.25 = 17.5, 8 x 3


def test_no_brain_is_missed_in_an_image_of_the_cord() -> None:
    case = opened(FLAIR=stripped_brain())
    for files in (
        dataclasses.replace(case.files, cord_mask=Path("sub-01_desc-cord_mask.nii.gz")),
        dataclasses.replace(case.files, centreline=Path("sub-01_desc-centreline.tsv")),
    ):
        assert not list(brain_fits_the_image(dataclasses.replace(case, files=files)))
