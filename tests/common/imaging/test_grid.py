from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from common.arrays import FloatArray
from common.errors import GeometryError
from common.imaging.grid import Grid, nearest_onto
from common.imaging.volume import Volume, same_grid
from tests.volumes import SHAPE as BRAIN_SHAPE
from tests.volumes import SPACING_MM, oblique_affine, stripped_brain


def test_the_grid_of_a_volume_filled_is_on_that_grid() -> None:
    volume = stripped_brain()
    filled = Grid.of(volume).filled(2.5)
    assert same_grid(filled, volume)
    assert filled.data.shape == BRAIN_SHAPE
    assert np.unique(filled.data) == [2.5]
    assert not filled.data.flags.writeable


@pytest.mark.parametrize("shape", [(0, 4, 4), (4, -1, 4)])
def test_a_grid_without_voxels_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(GeometryError, match="voxels along each axis"):
        Grid(shape, np.eye(4))


def test_a_grid_with_a_flat_affine_is_refused() -> None:
    with pytest.raises(GeometryError, match="can be inverted"):
        Grid((4, 4, 4), np.diag([1.0, 1.0, 0.0, 1.0]))


SHAPE = (6, 5, 4)


def labels(shape: tuple[int, int, int] = SHAPE) -> NDArray[np.int16]:
    """A label of its own in every voxel, from 1."""
    return np.arange(1, np.prod(shape) + 1, dtype=np.int16).reshape(shape)


def moved_by_voxels(affine: FloatArray, *voxels: float) -> FloatArray:
    """The grid whose voxel 0 lies at index `voxels` of the given one."""
    moved = affine.copy()
    moved[:3, 3] = affine[:3, :3] @ voxels + affine[:3, 3]
    return moved


def empty(shape: tuple[int, int, int], affine: FloatArray) -> Volume:
    return Volume(np.zeros(shape, np.uint8), affine)


def test_on_its_own_grid_nothing_changes() -> None:
    volume = Volume(labels(), oblique_affine())
    onto = nearest_onto(empty(SHAPE, oblique_affine()), volume)
    np.testing.assert_array_equal(onto.data, volume.data)
    assert onto.data.dtype == np.int16


def test_the_result_has_the_shape_and_affine_asked_for() -> None:
    grid = empty((3, 9, 2), oblique_affine((2.0, 1.0, 1.5)))
    assert same_grid(nearest_onto(grid, Volume(labels(), oblique_affine())), grid)


def test_a_grid_moved_by_whole_voxels_shows_a_part_and_background_beyond() -> None:
    grid = empty(SHAPE, moved_by_voxels(oblique_affine(), 2, -1, 0))
    expected = np.zeros(SHAPE, np.int16)
    expected[:4, 1:] = labels()[2:, :-1]
    found = nearest_onto(grid, Volume(labels(), oblique_affine()))
    np.testing.assert_array_equal(found.data, expected)


def test_halfway_between_two_voxels_the_higher_index_is_taken() -> None:
    grid = empty(SHAPE, moved_by_voxels(oblique_affine(), 0.5, 0, 0))
    expected = np.zeros(SHAPE, np.int16)
    expected[:5] = labels()[1:]  # index 0.5 takes 1, ..., 4.5 takes 5, and 5.5 is outside
    found = nearest_onto(grid, Volume(labels(), oblique_affine()))
    np.testing.assert_array_equal(found.data, expected)


def test_the_field_of_view_reaches_half_a_voxel_beyond_the_outer_centres() -> None:
    for shift, n_layers in ((-0.4, 6), (-0.6, 5)):  # voxel 0 of the grid: inside, outside
        grid = empty(SHAPE, moved_by_voxels(oblique_affine(), 0, 0, shift))
        found = nearest_onto(grid, Volume(labels(), oblique_affine()))
        assert (found.data[:, :, 0] > 0).any() == (n_layers == 6)
        np.testing.assert_array_equal(
            found.data[:, :, 1:], labels()[:, :, 1:] if shift == -0.4 else labels()[:, :, :-1]
        )


def test_an_axis_stored_the_other_way_round_is_turned() -> None:
    flipped = oblique_affine() @ np.array(
        [[-1, 0, 0, 5], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=np.float64
    )  # i backwards, j and k exchanged
    stored = Volume(labels().transpose(0, 2, 1)[::-1], flipped)
    found = nearest_onto(empty(SHAPE, oblique_affine()), stored)
    np.testing.assert_array_equal(found.data, labels())


def test_thick_slices_are_repeated_on_thin_ones() -> None:
    # along k 3 mm slices at 0, 3, 6, 9; thin ones of 1 mm at -1, 0, 1, 2, ..., 10
    thin = moved_by_voxels(oblique_affine(), 0, 0, -1 / 3)
    thin[:3, 2] /= 3
    grid = empty((6, 5, 12), thin)
    found = nearest_onto(grid, Volume(labels(), oblique_affine(SPACING_MM)))
    np.testing.assert_array_equal(found.data, np.repeat(labels(), 3, axis=2))


def test_every_value_is_that_of_the_nearest_centre_between_turned_grids() -> None:
    volume = Volume(labels(), oblique_affine())
    turned = np.eye(4)
    turned[:3, :3] = np.diag((1.3, 0.9, 2.1)) @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turned[:3, 3] = oblique_affine()[:3, 3] + (3.1, 0.2, -1.7)
    grid = empty((8, 7, 6), turned)
    found = nearest_onto(grid, volume).data
    to_index = np.linalg.inv(volume.affine)
    n_inside = 0
    for voxel in itertools.product(*map(range, grid.data.shape)):
        world = turned[:3, :3] @ voxel + turned[:3, 3]
        index = to_index[:3, :3] @ world + to_index[:3, 3]
        inside = all(-0.5 <= i < n - 0.5 for i, n in zip(index, SHAPE, strict=True))
        i, j, k = (round(value) for value in index)
        assert found[voxel] == (labels()[i, j, k] if inside else 0)
        n_inside += inside
    assert 20 < n_inside < found.size - 20  # both kinds are tried


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.float32, np.float64])
def test_no_value_is_made_up(dtype: Any) -> None:
    values: NDArray[Any] = (labels() % 2).astype(dtype)
    grid = empty((7, 7, 7), moved_by_voxels(oblique_affine((1.5, 1.0, 0.7)), -1, 0.3, 0.2))
    found = nearest_onto(grid, Volume(values, oblique_affine()))
    assert found.data.dtype == dtype
    assert set(np.unique(found.data).tolist()) == {0, 1}


@given(st.tuples(*[st.integers(1, 4)] * 3), st.tuples(*[st.integers(1, 4)] * 3))
def test_no_shape_makes_it_fail(a: tuple[int, int, int], b: tuple[int, int, int]) -> None:
    onto = nearest_onto(empty(b, oblique_affine()), Volume(labels(a), oblique_affine()))
    part = tuple(slice(0, min(n, m)) for n, m in zip(a, b, strict=True))
    np.testing.assert_array_equal(onto.data[part], labels(a)[part])
    assert np.count_nonzero(onto.data) == onto.data[part].size
