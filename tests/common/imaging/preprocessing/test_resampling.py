from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from common.arrays import FloatArray
from common.errors import GeometryError
from common.imaging.grid import Grid
from common.imaging.preprocessing.resampling import (
    common_grid,
    resampled,
    resampled_lesions,
    share_outside,
)
from common.imaging.preprocessing.rigid_registration import rigid_inverse
from common.imaging.preprocessing.working_case import WorkingImage
from common.imaging.volume import Volume
from tests.volumes import SHAPE, brain_mask, oblique_affine, stripped_brain, two_lesions

angles = st.floats(-40, 40)
shifts = st.floats(-20, 20)


def image(volume: Volume, to_common: FloatArray | None = None) -> WorkingImage:
    return WorkingImage(volume=volume, to_common=np.eye(4) if to_common is None else to_common)


def turned(degrees: tuple[float, float, float], shift: tuple[float, float, float]) -> FloatArray:
    move = np.eye(4)
    move[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    move[:3, 3] = shift
    return move


def plane() -> Volume:
    """Values 3 x - 2 y + 0.5 z + 40 of the world, on the oblique grid: linear, so exact."""
    affine = oblique_affine()
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    return Volume((world @ (3, -2, 0.5) + 40).astype(np.float32), affine)


def test_an_unmoved_image_on_its_own_grid_is_the_same_image() -> None:
    brain = stripped_brain()
    onto = resampled(image(brain), Grid.of(brain), interpolation="linear")
    assert onto.data.dtype == np.float32
    np.testing.assert_array_equal(onto.data, brain.data)


def test_linear_interpolation_takes_the_move_to_the_common_space_into_account() -> None:
    move = turned((10, -20, 30), (4, -5, 6))
    middle = (plane().affine @ (5.5, 6.5, 3.5, 1))[:3]
    affine = np.diag([0.8, 0.7, 0.9, 1.0])
    affine[:3, 3] = (move @ (*middle, 1))[:3] - (0.8, 0.7, 0.9)
    grid = Grid((3, 3, 3), affine)
    onto = resampled(image(plane(), move), grid, interpolation="linear")
    # common (x, y, z) is what the scanner calls move^-1 (x, y, z), where the plane has its value
    index = np.argwhere(np.ones(grid.shape))
    common = index @ affine[:3, :3].T + affine[:3, 3]
    scanner = (common - move[:3, 3]) @ move[:3, :3]
    expected = scanner @ (3, -2, 0.5) + 40
    np.testing.assert_allclose(onto.data.ravel(), expected, rtol=1e-5)


def test_a_value_between_two_voxels_is_their_mean() -> None:
    volume = Volume(np.array([[[2.0]], [[6.0]]], np.float32), np.diag([1.0, 1.25, 3.0, 1.0]))
    affine = volume.affine.copy()
    affine[0, 3] = 0.5
    onto = resampled(image(volume), Grid((1, 1, 1), affine), interpolation="linear")
    assert onto.data[0, 0, 0] == pytest.approx(4)


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_the_field_of_view_ends_half_a_voxel_beyond_the_centres(interpolation: str) -> None:
    volume = Volume(np.full((2, 2, 2), 7, np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
    affine = np.diag([0.6, 1.0, 1.0, 1.0])
    affine[0, 3] = -1.5  # x = -1.5, -0.9, ..., 3.3: inside from -1 to 3
    grid = Grid((9, 1, 1), affine)
    onto = resampled(image(volume), grid, interpolation=interpolation)  # type: ignore[arg-type]  # a parameter of the test
    np.testing.assert_allclose(onto.data[:, 0, 0], [0, 7, 7, 7, 7, 7, 7, 7, 0])


def test_labels_keep_their_type_and_hold_no_new_value() -> None:
    labels = Volume((2 * two_lesions().data).astype(np.int16), oblique_affine())
    move = turned((5, 5, 5), (1, 1, 1))
    grid = common_grid(image(labels, move), None, spacing_mm=0.9, margin_mm=0)
    onto = resampled(image(labels, move), grid, interpolation="nearest")
    assert onto.data.dtype == np.int16
    assert set(np.unique(onto.data)) == {0, 2}


@given(degrees=st.tuples(angles, angles, angles), shift=st.tuples(shifts, shifts, shifts))
@settings(max_examples=25, deadline=None)
def test_moving_the_image_or_moving_the_grid_back_is_the_same(
    degrees: tuple[float, float, float], shift: tuple[float, float, float]
) -> None:
    move, brain = turned(degrees, shift), stripped_brain()
    grid = Grid((6, 7, 5), move @ oblique_affine((1.1, 1.3, 2.7)))
    moved = resampled(image(brain, move), grid, interpolation="linear")
    stayed = Grid(grid.shape, rigid_inverse(move) @ grid.affine)
    np.testing.assert_allclose(
        moved.data, resampled(image(brain), stayed, interpolation="linear").data, atol=1e-2
    )


def test_lesions_that_survive_are_counted_and_leave_no_note() -> None:
    carried = resampled_lesions(image(two_lesions()), Grid.of(two_lesions()))
    assert (carried.n_before, carried.n_after, carried.n_vanished) == (2, 2, 0)
    assert carried.note is None
    np.testing.assert_array_equal(carried.volume.data, two_lesions().data)


def test_a_lesion_between_the_voxels_of_a_coarser_grid_vanishes_with_a_note() -> None:
    lesions = np.zeros((8, 8, 4), np.uint8)
    lesions[2:4, 2:4, 1] = 1  # holds (2, 2, 1), which the coarse grid meets
    lesions[5, 5, 3] = 1  # odd indices: no voxel of the coarse grid there
    affine = oblique_affine()
    coarse = Grid((4, 4, 4), affine @ np.diag([2.0, 2.0, 1.0, 1.0]))
    carried = resampled_lesions(image(Volume(lesions, affine)), coarse)
    assert (carried.n_before, carried.n_after, carried.n_vanished) == (2, 1, 1)
    assert carried.note is not None
    assert "1 of 2 lesions vanished" in carried.note


def test_two_lesions_that_become_one_have_not_vanished() -> None:
    lesions = np.zeros((9, 4, 4), np.uint8)
    lesions[2, 1, 1] = lesions[4, 1, 1] = 1  # neighbours on a grid of every second voxel
    affine = oblique_affine()
    coarse = Grid((5, 4, 4), affine @ np.diag([2.0, 1.0, 1.0, 1.0]))
    carried = resampled_lesions(image(Volume(lesions, affine)), coarse)
    assert (carried.n_before, carried.n_after, carried.n_vanished) == (2, 1, 0)


def test_the_common_grid_holds_the_brain_and_its_margin_along_the_patient_s_axes() -> None:
    brain = np.zeros((10, 10, 10), bool)
    brain[2:5, 3:4, 6:8] = True
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (-10, 5, 0)
    # faces: x -8.5 to -5.5, y 10 to 12, z 16.5 to 22.5; with 1 mm: 5, 4 and 8 mm.
    # In voxels of 2 mm: 3 (1 mm too long, so from -10 to -4), 2 and 4
    mask = image(Volume(brain, affine))
    grid = common_grid(mask, mask, spacing_mm=2.0, margin_mm=1.0)
    assert grid.shape == (3, 2, 4)
    expected = np.array([[2, 0, 0, -9], [0, 2, 0, 10], [0, 0, 2, 16.5], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(grid.affine, expected)


def test_without_a_brain_the_common_grid_holds_the_field_of_view() -> None:
    affine = np.diag([-1.0, 2.0, 3.0, 1.0])
    volume = Volume(np.zeros((4, 5, 6), np.float32), affine)
    grid = common_grid(image(volume), None, spacing_mm=1.0, margin_mm=0.0)
    assert grid.shape == (4, 10, 18)
    np.testing.assert_allclose(grid.affine[:3, 3], (-3, -0.5, -1))


@given(
    degrees=st.tuples(angles, angles, angles),
    shift=st.tuples(shifts, shifts, shifts),
    spacing_mm=st.floats(0.5, 3),
)
@settings(max_examples=25, deadline=None)
def test_no_voxel_of_the_brain_lies_outside_the_common_grid(
    degrees: tuple[float, float, float], shift: tuple[float, float, float], spacing_mm: float
) -> None:
    brain = image(brain_mask(), turned(degrees, shift))
    grid = common_grid(brain, brain, spacing_mm=spacing_mm, margin_mm=0.0)
    assert share_outside(brain, image(grid.filled(0))) == 0


@pytest.mark.parametrize(("spacing_mm", "margin_mm"), [(0.0, 1.0), (float("nan"), 1.0), (1.0, -1)])
def test_a_spacing_or_a_margin_out_of_range_is_refused(spacing_mm: float, margin_mm: float) -> None:
    with pytest.raises(GeometryError, match="want a spacing above 0"):
        common_grid(image(brain_mask()), None, spacing_mm=spacing_mm, margin_mm=margin_mm)


def test_the_share_of_the_brain_beyond_the_field_of_view_is_counted() -> None:
    brain = image(Volume(np.ones((4, 2, 5), bool), oblique_affine()))
    upper = oblique_affine()
    upper[:3, 3] += 2 * upper[:3, 2]  # a field of view that begins at k = 2: 2 of 5 slices missing
    seen = image(Volume(np.zeros((4, 2, 5), np.float32), upper))
    assert share_outside(brain, seen) == pytest.approx(0.4)
    assert share_outside(brain, brain) == 0


def test_an_empty_brain_is_refused() -> None:
    empty = image(Volume(np.zeros(SHAPE, bool), oblique_affine()))
    with pytest.raises(GeometryError, match="empty"):
        share_outside(empty, empty)
    with pytest.raises(GeometryError, match="empty"):
        common_grid(empty, empty, spacing_mm=1.0, margin_mm=1.0)
