from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from common.arrays import BoolArray
from common.figures.lesion_slices import lesion_slices

SHAPE = (20, 24, 12)


def empty() -> BoolArray:
    return np.zeros(SHAPE, bool)


def brain() -> BoolArray:
    mask = empty()
    mask[2:18, 2:22, 1:11] = True
    return mask


def lesions_in(*slices: int, n_voxels: int = 4) -> BoolArray:
    """`n_voxels` lesion voxels in a row in each of these axial slices."""
    mask = empty()
    for k in slices:
        mask[5 : 5 + n_voxels, 8, k] = True
    return mask


def test_the_slices_with_most_lesion_are_chosen_before_their_neighbours() -> None:
    # voxels by slice: 2:1 3:5 4:1 5:1 6:4 7:1 8:1 9:3 10:1; the gap is 2 * (10 - 2) // (3 * 2) = 2
    lesions = lesions_in(2, 4, 5, 7, 8, 10, n_voxels=1)
    for k, n_voxels in ((3, 5), (6, 4), (9, 3)):
        lesions |= lesions_in(k, n_voxels=n_voxels)

    assert lesion_slices(lesions, brain(), n=3) == (3, 6, 9)


def test_few_lesion_slices_are_all_shown_and_the_rest_lies_far_from_them() -> None:
    # the brain spans 1..10; farthest from {2} is 10 (8 away), then 6 (4 away from both)
    assert lesion_slices(lesions_in(2), brain(), n=3) == (2, 6, 10)


def test_without_a_lesion_the_slices_spread_over_the_brain() -> None:
    # the middle of 1..10 is 6; farthest from it is 1 (5 away), then 10 (4 away)
    assert lesion_slices(empty(), brain(), n=3) == (1, 6, 10)


@given(
    area=st.lists(st.integers(0, 6), min_size=1, max_size=30),
    n=st.integers(1, 7),
)
def test_slices_rise_and_hold_the_one_with_most_lesion(area: list[int], n: int) -> None:
    lesions = np.arange(6)[:, None, None] < np.array(area)[None, None, :]
    brain = np.ones(lesions.shape, bool)

    chosen = lesion_slices(lesions, brain, n=n)

    assert len(chosen) == min(n, len(area))
    assert list(chosen) == sorted(set(chosen))
    assert max(area[k] for k in chosen) == max(area)
