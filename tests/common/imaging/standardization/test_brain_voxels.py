from __future__ import annotations

import numpy as np
import pytest

from common.errors import GeometryError, SiteDataError
from common.imaging.standardization.brain_voxels import brain_voxels
from tests.common.imaging.standardization.tissues import nine_voxels


def test_voxels_outside_the_brain_are_not_read() -> None:
    image, brain = nine_voxels()
    image[~brain] = np.nan
    assert sorted(brain_voxels(image, brain)) == [1, 2, 3, 9, 10, 11, 17, 18, 19]


def test_whole_numbers_from_the_scanner_come_back_as_float64() -> None:
    image, brain = nine_voxels()
    np.testing.assert_array_equal(
        brain_voxels(image.astype(np.int16), brain), brain_voxels(image, brain)
    )
    assert brain_voxels(image.astype(np.int16), brain).dtype == np.float64


def test_a_mask_on_another_grid_is_refused_with_both_shapes() -> None:
    image, brain = nine_voxels()
    with pytest.raises(GeometryError, match=r"shape \(2, 1, 4\) but the image has \(2, 1, 5\)"):
        brain_voxels(image, brain[..., :4])


def test_an_empty_mask_is_refused() -> None:
    image, brain = nine_voxels()
    with pytest.raises(SiteDataError, match=r"shape \(2, 1, 5\) holds no voxel"):
        brain_voxels(image, np.zeros_like(brain))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_a_voxel_that_is_not_finite_is_refused_and_counted(odd: float) -> None:
    image, brain = nine_voxels()
    image[0, 0, 1] = odd
    with pytest.raises(SiteDataError, match="1 of 9 voxels inside the brain mask are NaN or inf"):
        brain_voxels(image, brain)


def test_a_constant_brain_is_refused_whatever_lies_outside() -> None:
    image, brain = nine_voxels()
    image[brain] = 0.1
    with pytest.raises(SiteDataError, match=r"all 9 voxels inside the brain mask equal 0\.1"):
        brain_voxels(image, brain)
