from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.learning.sampling.cutting import cut

VOLUME = np.arange(1, 1 + 2 * 3 * 4 * 5, dtype=np.int64).reshape(2, 3, 4, 5)

starts = st.tuples(*[st.integers(-7, 7)] * 3)
sides = st.tuples(*[st.integers(1, 6)] * 3)


@given(start=starts, patch_shape=sides)
def test_each_voxel_is_the_volume_s_at_start_plus_its_place_and_0_beyond(
    start: tuple[int, int, int], patch_shape: tuple[int, int, int]
) -> None:
    patch = cut(VOLUME, start, patch_shape)
    assert patch.shape == (2, *patch_shape)
    for place in np.ndindex(patch_shape):
        at = np.add(start, place)
        inside = (at >= 0).all() and (at < VOLUME.shape[1:]).all()
        expected = VOLUME[:, at[0], at[1], at[2]] if inside else 0
        np.testing.assert_array_equal(patch[:, *place], expected)


def test_a_corner_worked_by_hand() -> None:
    # begins one voxel before the volume along j: row 0 of the patch lies outside
    patch = cut(VOLUME, (2, -1, 3), (1, 2, 2))
    # channel 0 at i = 2, j = 0, k = 3 and 4: 1 + 2 * 20 + 0 * 5 + 3 = 44 and 45; channel 1: + 60
    assert patch.tolist() == [[[[0, 0], [44, 45]]], [[[0, 0], [104, 105]]]]


@pytest.mark.parametrize("dtype", [np.float32, np.bool_])
def test_the_patch_is_a_copy_of_the_volume_s_type(dtype: type[np.generic]) -> None:
    volume = np.ones((1, 3, 3, 4), dtype)
    patch = cut(volume, (0, 0, 0), (3, 3, 4))
    assert patch.dtype == dtype
    patch[:] = 0
    assert volume.all()
