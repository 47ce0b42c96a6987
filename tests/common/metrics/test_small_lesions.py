from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.arrays import BoolArray
from common.metrics.mask import without_small_lesions

MASKS = hnp.arrays(np.bool_, (5, 4, 6))


def lesions_of_one_three_and_five() -> BoolArray:
    """A voxel, three in a diagonal chain that touch by corners only, and five in a row."""
    mask = np.zeros((7, 6, 9), bool)
    mask[0, 0, 0] = True
    for n in range(3):
        mask[3 + n, 1 + n, 2 + n] = True
    mask[0, 5, 3:8] = True
    return mask


@pytest.mark.parametrize(
    ("min_voxels", "n_left"),
    [
        pytest.param(1, 9, id="all: 1 + 3 + 5"),
        pytest.param(2, 8, id="3 + 5"),
        pytest.param(3, 8, id="3 is not below 3; corners connect"),
        pytest.param(4, 5, id="5 alone"),
        pytest.param(6, 0, id="none"),
    ],
)
def test_lesions_of_fewer_voxels_go(min_voxels: int, n_left: int) -> None:
    mask = lesions_of_one_three_and_five()
    kept = without_small_lesions(mask, min_voxels)
    assert kept.dtype == np.bool_
    assert kept.sum() == n_left
    assert not (kept & ~mask).any()


def test_the_mask_given_stays_as_it_was() -> None:
    mask = lesions_of_one_three_and_five()
    mask.flags.writeable = False
    without_small_lesions(mask, 4)
    np.testing.assert_array_equal(mask, lesions_of_one_three_and_five())


def test_an_empty_mask_stays_empty_and_a_full_one_full() -> None:
    empty = np.zeros((3, 4, 2), bool)
    assert not without_small_lesions(empty, 2).any()
    assert without_small_lesions(~empty, 24).all()
    assert not without_small_lesions(~empty, 25).any()


@given(MASKS, st.integers(1, 12))
def test_twice_is_once_and_a_higher_bound_leaves_no_more(mask: BoolArray, min_voxels: int) -> None:
    kept = without_small_lesions(mask, min_voxels)
    np.testing.assert_array_equal(without_small_lesions(kept, min_voxels), kept)
    stricter = without_small_lesions(mask, min_voxels + 1)
    assert not (stricter & ~kept).any()


@given(MASKS, st.integers(2, 8), st.permutations([0, 1, 2]))
def test_the_axes_are_alike(mask: BoolArray, min_voxels: int, axes: list[int]) -> None:
    np.testing.assert_array_equal(
        without_small_lesions(mask.transpose(axes), min_voxels),
        without_small_lesions(mask, min_voxels).transpose(axes),
    )
