from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nibabel import orientations
from scipy.spatial.transform import Rotation

from common.arrays import FloatArray
from common.imaging.orientation import (
    orientation_of,
    stored_from_upright,
    turned_back,
    upright,
)
from common.imaging.volume import Volume
from tests.orders import ORDERS, stored
from tests.volumes import oblique_affine

NIBABEL: Any = orientations
ANGLES = st.tuples(*[st.floats(-180, 180)] * 3)


def test_upright_turns_axes_and_leaves_every_voxel_where_it_was() -> None:
    swap = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 9], [0, -1, 0, 7], [0, 0, 0, 1]])
    image = Volume(np.arange(60).reshape(3, 4, 5), oblique_affine() @ swap)
    assert orientation_of(image) == "PIR"
    turned = upright(image)
    assert orientation_of(turned) == "RAS"
    assert turned.data.shape == (5, 3, 4)
    for volume in (image, turned):
        place = np.argwhere(volume.data == 23)[0]
        np.testing.assert_allclose(volume.affine[:3, :3] @ place + volume.affine[:3, 3], _of_23())


def _of_23() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """23 = 1 x 20 + 0 x 5 + 3 lies at (1, 0, 3); swapped: (3, -1 + 9, 0 + 7)."""
    return np.asarray((oblique_affine() @ (3, 8, 7, 1))[:3])


def image_of(angles: tuple[float, float, float], shear: float = 0.0) -> Volume:
    """27 different voxels, 1 x 1.2 x 3 mm, turned by the angles in degrees about x, y and z."""
    skew = np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]])
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine[:3, :3] = turn @ skew @ np.diag([1.0, 1.2, 3.0])
    affine[:3, 3] = (-61.5, 40.25, 17.0)
    return Volume(np.arange(60).reshape(3, 4, 5), affine)


@settings(deadline=None, max_examples=60)
@given(ANGLES, st.floats(-0.4, 0.4))
@example((45.0, 0.0, 0.0), 0.0)  # two turns fit equally well
@example((0.0, 0.0, -45.0), 0.0)
@example((45.0, 45.0, 45.0), 0.0)
@example((45.0, 35.264389682754654, 0.0), 0.0)
@example((180.0, 45.0, 0.0), 0.0)
@example((45.0000001, 0.0, 90.0), 0.0)
def test_one_scan_turns_to_one_upright_image_from_each_of_the_48_orders(
    angles: tuple[float, float, float], shear: float
) -> None:
    image = image_of(angles, shear)
    expected = upright(image)
    assert orientation_of(expected) == "RAS"
    for order in ORDERS:
        turned = upright(stored(image, order))
        np.testing.assert_array_equal(turned.data, expected.data)
        np.testing.assert_allclose(turned.affine, expected.affine, atol=1e-11)


@settings(deadline=None, max_examples=60)
@given(ANGLES, st.sampled_from(ORDERS))
def test_what_was_turned_upright_turns_back_to_the_file(
    angles: tuple[float, float, float], order: str
) -> None:
    file = stored(image_of(angles), order)
    back = turned_back(upright(file), file)
    np.testing.assert_array_equal(back.data, file.data)
    np.testing.assert_array_equal(back.affine, file.affine)


@settings(deadline=None, max_examples=60)
@given(st.tuples(*[st.floats(-20, 20)] * 3), st.sampled_from(ORDERS))
def test_the_letters_are_nibabels_where_the_head_is_little_tilted(
    angles: tuple[float, float, float], order: str
) -> None:
    image = stored(image_of(angles), order)
    assert orientation_of(image) == order == "".join(NIBABEL.aff2axcodes(image.affine))


def test_an_upright_image_is_returned_itself() -> None:
    image = image_of((12.0, -4.0, 7.0))
    assert upright(image) is image


def test_a_grid_without_values_is_turned_in_the_memory_of_one_voxel() -> None:
    grid = Volume(np.broadcast_to(np.float32(0), (3000, 4000, 5000)), np.diag([-1.0, 1, 1, 1]))
    turned = upright(grid)
    assert turned.data.strides == (0, 0, 0)
    assert turned.affine[0].tolist() == [1, 0, 0, -2999]


@pytest.mark.parametrize("order", ["RAS", "LPS", "PIR", "ASR"])
def test_a_voxel_of_the_upright_image_is_found_in_the_file(order: str) -> None:
    image = image_of((12.0, 0.0, 0.0))
    file = stored(image, order)
    to_file: FloatArray = stored_from_upright(order, (3, 4, 5))
    i, j, k = (to_file @ (2, 0, 3, 1))[:3].astype(int)
    assert file.data[i, j, k] == image.data[2, 0, 3]
