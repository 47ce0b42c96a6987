from __future__ import annotations

import numpy as np
import pytest

from common.imaging.intake.thumbnail import averaged, thumbnail
from common.imaging.volume import Volume
from tests.volumes import oblique_affine


def test_averaging_joins_whole_voxels_and_keeps_their_place() -> None:
    image = Volume(np.arange(24, dtype=np.float32).reshape(4, 3, 2), oblique_affine((1, 2, 3)))
    small = averaged(image, 2.0)
    assert small.data.shape == (2, 3, 2)  # two voxels along i make 2 mm; j and k are as long
    assert small.data[0, 0, 0] == 3.0  # of 0 and 6
    np.testing.assert_allclose(small.spacing_mm, (2, 2, 3))
    between = image.affine @ (0.5, 0, 0, 1)
    np.testing.assert_allclose(small.affine[:, 3], between)


def test_voxels_of_no_size_are_all_averaged() -> None:
    image = Volume(np.ones((4, 5, 6), np.float32), np.diag([1e-30, 1e-30, 1e-30, 1]))
    assert averaged(image, 3.0).data.tolist() == [[[1.0]]]


def test_the_mean_of_values_at_the_end_of_float32_is_one_of_them() -> None:
    image = Volume(np.full((4, 4, 4), 3e38, np.float32), np.eye(4))
    assert (averaged(image, 2.0).data == np.float32(3e38)).all()


def test_a_thumbnail_shows_the_world_upright_whatever_the_storage() -> None:
    affine = oblique_affine((1.0, 1.25, 3.0))
    i, j, k = np.indices((24, 22, 10))
    world = np.einsum("ab,bijk->aijk", affine[:3, :3], np.array([i, j, k]))
    up = world[2] + affine[2, 3]
    small = thumbnail(Volume(up.astype(np.float32), affine), step_mm=4.0)
    np.testing.assert_allclose(small.affine[:3, :3], np.eye(3) * 4)
    middle = tuple(n // 2 for n in small.data.shape)
    height = small.affine[2, 3] + 4 * middle[2]
    assert small.data[middle] == pytest.approx(height, abs=1e-3)  # linear: exact inside


def test_a_thumbnail_about_another_image_covers_that_one() -> None:
    image = Volume(np.ones((10, 10, 10), np.float32), np.eye(4))
    far = np.eye(4)
    far[0, 3] = 100
    about = Volume(np.ones((21, 11, 5), np.float32), far)
    small = thumbnail(image, step_mm=5.0, about=about)
    assert small.data.shape == (5, 3, 2)  # 20, 10 and 4 mm
    assert not small.data.any()
