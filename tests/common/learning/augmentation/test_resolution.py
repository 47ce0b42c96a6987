from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.learning.augmentation.resolution import (
    along_axes,
    drawn_resolution,
    gaussian_matrix,
    ringing_matrix,
    slice_matrix,
)


@pytest.mark.parametrize(
    ("thickness", "position", "line", "expected"),
    [
        pytest.param(1, 0, [3, -1, 4, 2], [3, -1, 4, 2], id="thickness of a voxel: as it was"),
        # slices (0, 4), (8, 0) have means 2 and 4, with middles at 1 and 3, voxels at 0.5, 1.5 ...
        pytest.param(2, 0, [0, 4, 8, 0], [2, 2.5, 3.5, 4], id="two slices of two voxels"),
        # begins half a slice before: slices (., 0), (4, 8), (0, .): middles 0, 2, 4
        pytest.param(
            2, 0.5, [0, 4, 8, 0], [1.5, 4.5, 4.5, 1.5], id="half a slice outside at both ends"
        ),
        pytest.param(9, 0, [0, 4, 8, 0], [3, 3, 3, 3], id="one slice for all"),
    ],
)
def test_slices_are_means_and_voxels_lie_between_their_middles(
    thickness: float, position: float, line: list[float], expected: list[float]
) -> None:
    found = slice_matrix(4, thickness, position=position) @ np.array(line)
    np.testing.assert_allclose(found, expected)


def test_a_gaussian_of_width_1_on_three_voxels() -> None:
    # weights 1, e^-0.5 = 0.6065, e^-2 = 0.1353; of the first voxel they sum to 1.7419
    found = gaussian_matrix(3, 1.0)
    np.testing.assert_allclose(found[0], [0.57410, 0.34821, 0.07769], atol=1e-4)
    np.testing.assert_array_equal(gaussian_matrix(3, 0.0), np.eye(3))


def test_a_step_rings_and_overshoots() -> None:
    step = np.repeat([0.0, 1.0], 16)
    found = ringing_matrix(32, 0.5) @ step
    assert found.max() > 1.05
    assert found.min() < -0.05
    np.testing.assert_allclose(ringing_matrix(32, 1.0), np.eye(32), atol=1e-12)


@given(
    n=st.integers(1, 20),
    size=st.floats(1, 7),
    position=st.floats(0, 0.99),
    kept=st.floats(0.1, 1),
)
def test_a_constant_line_stays_constant(n: int, size: float, position: float, kept: float) -> None:
    for matrix in (
        slice_matrix(n, size, position=position),
        gaussian_matrix(n, size),
        ringing_matrix(n, kept),
    ):
        np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-9)


def test_each_matrix_is_applied_along_its_own_axis() -> None:
    random = np.random.default_rng(0)
    image = random.normal(size=(3, 4, 5)).astype(np.float32)
    a, b, c = (random.normal(size=(n, n)) for n in (3, 4, 5))
    found = along_axes(image, [a, b, c])
    expected = np.einsum("ai,bj,ck,ijk->abc", a, b, c, image)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(along_axes(image, [None, None, None]), image)


def test_slices_lie_across_each_axis_about_as_often() -> None:
    random = np.random.default_rng(1)
    drawn = [drawn_resolution((6, 7, 8), random) for _ in range(300)]
    for axis, n in enumerate((6, 7, 8)):
        of_axis = [matrix for matrices in drawn if (matrix := matrices[axis]) is not None]
        assert 100 < len(of_axis) < 300
        assert all(matrix.shape == (n, n) for matrix in of_axis)
