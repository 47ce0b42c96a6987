from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike
from scipy.spatial.transform import Rotation

from common.errors import GeometryError
from common.imaging.sitk_image import from_sitk, to_sitk
from common.imaging.volume import Volume
from tests.volumes import oblique_affine, stripped_brain

lengths_mm = st.floats(0.2, 8.0)
angles = st.floats(-180.0, 180.0)


def ramp(shape: tuple[int, int, int], dtype: DTypeLike = np.float32) -> Volume:
    """Every voxel its own value."""
    data = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    return Volume(data, oblique_affine())


def test_a_voxel_keeps_its_index_and_its_place_with_x_and_y_turned_round() -> None:
    volume = ramp((3, 4, 5))
    image = to_sitk(volume)
    assert image.GetSize() == (3, 4, 5)
    # value of (2, 1, 4) in C order: 2 * 20 + 1 * 5 + 4 = 49
    assert image[2, 1, 4] == 49
    right_front_up = volume.affine @ (2, 1, 4, 1)
    left_back_up = image.TransformIndexToPhysicalPoint((2, 1, 4))
    np.testing.assert_allclose(left_back_up, right_front_up[:3] * (-1, -1, 1), atol=1e-12)


def test_an_unturned_image_has_the_origin_of_its_header_turned_round() -> None:
    affine = np.diag([1.0, 1.25, 3.0, 1.0])
    affine[:3, 3] = (-61.5, 40.25, 17.0)
    image = to_sitk(Volume(np.zeros((2, 2, 2), np.float32), affine))
    assert image.GetSpacing() == (1.0, 1.25, 3.0)
    assert image.GetOrigin() == (61.5, -40.25, 17.0)
    assert image.GetDirection() == (-1, 0, 0, 0, -1, 0, 0, 0, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int16, np.int32])
def test_the_type_of_the_voxels_is_kept(dtype: DTypeLike) -> None:
    volume = ramp((3, 4, 5), dtype)
    back = from_sitk(to_sitk(volume))
    assert back.data.dtype == dtype
    np.testing.assert_array_equal(back.data, volume.data)


def test_a_big_endian_image_and_a_mask_come_back_as_native_numbers() -> None:
    volume = ramp((3, 4, 5), ">i2")
    np.testing.assert_array_equal(from_sitk(to_sitk(volume)).data, volume.data)
    mask = Volume(volume.data > 30, volume.affine)
    back = from_sitk(to_sitk(mask))
    assert back.data.dtype == np.uint8
    np.testing.assert_array_equal(back.data > 0, mask.data)


@given(
    spacing=st.tuples(lengths_mm, lengths_mm, lengths_mm),
    turn=st.tuples(angles, angles, angles),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    mirrored=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_affine_survives_the_round_trip(
    spacing: tuple[float, float, float],
    turn: tuple[float, float, float],
    origin: tuple[float, float, float],
    mirrored: bool,
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() * spacing
    if mirrored:  # a left-handed grid, as dcm2niix may write
        affine[:3, 0] *= -1
    affine[:3, 3] = origin
    volume = Volume(stripped_brain().data, affine)
    back = from_sitk(to_sitk(volume))
    np.testing.assert_allclose(back.affine, affine, rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal(back.data, volume.data)


def test_a_skew_grid_is_refused_with_its_cosine() -> None:
    affine = np.diag([1.0, 1.25, 3.0, 1.0])
    affine[1, 2] = 0.6  # k leans towards j: cosine 0.6 / sqrt(0.6² + 3²) = 0.196
    with pytest.raises(GeometryError, match=r"right angles.*cosine of 0\.196"):
        to_sitk(Volume(np.zeros((2, 2, 2), np.float32), affine))


def test_a_flat_image_is_refused() -> None:
    with pytest.raises(GeometryError, match="found 2 axes"):
        from_sitk(sitk.Image(4, 4, sitk.sitkUInt8))


def test_an_image_of_colours_is_refused() -> None:
    with pytest.raises(GeometryError, match="3 numbers"):
        from_sitk(sitk.Image([4, 4, 4], sitk.sitkVectorUInt8, 3))
