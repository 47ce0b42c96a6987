from __future__ import annotations

import numpy as np

from common.learning.augmentation.rotation_scaling import (
    MOVED,
    resampled,
    rotated_and_scaled,
    rotation,
)


def test_a_quarter_turn_about_k_takes_i_to_j() -> None:
    matrix = rotation(np.array([0, 0, np.pi / 2]))
    np.testing.assert_allclose(matrix @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(matrix @ [0, 0, 1], [0, 0, 1], atol=1e-12)


def test_a_quarter_turn_of_a_patch_is_that_of_numpy() -> None:
    random = np.random.default_rng(0)
    images = random.normal(size=(2, 6, 6, 5)).astype(np.float32)
    lesions = random.random((3, 6, 6, 5)) < 0.3
    found, moved = resampled(images, lesions, rotation(np.array([0, 0, np.pi / 2])))
    # a voxel shows what was at a quarter turn of its place: i from j, so the patch turns back
    np.testing.assert_allclose(found, np.rot90(images, -1, (1, 2)), atol=1e-5)
    np.testing.assert_array_equal(moved, np.rot90(lesions, -1, (1, 2)))


def test_half_of_the_scale_shows_twice_the_size_along_every_axis() -> None:
    lesions = np.zeros((1, 16, 12, 8), bool)
    lesions[0, 6:10, 5:7, 3:5] = True  # about the middle
    images = lesions.astype(np.float32)
    found, moved = resampled(images, lesions, np.eye(3) / 2)
    expected = np.zeros((16, 12, 8), bool)
    expected[4:12, 4:8, 2:6] = True
    np.testing.assert_array_equal(moved[0], expected)
    # at its corners linear interpolation leaves 0.75^3 = 0.42
    np.testing.assert_array_equal(found[0] > 0.4, expected)


def test_what_lies_beyond_the_patch_is_zero() -> None:
    images = np.ones((1, 8, 8, 8), np.float32)
    found, _ = resampled(images, np.ones((1, 8, 8, 8), bool), 2 * np.eye(3))
    assert found[0, 3:5, 3:5, 3:5].min() == 1
    assert found[0, 0].max() == 0


def test_about_half_of_the_patches_are_moved_and_image_and_lesion_alike() -> None:
    lesions = np.zeros((1, 20, 20, 20), bool)
    lesions[0, 12:17, 8:13, 4:12] = True
    images = lesions.astype(np.float32)
    random = np.random.default_rng(4)
    n_moved = 0
    for _ in range(60):
        found, moved = rotated_and_scaled(images, lesions, random)
        n_moved += not np.array_equal(moved, lesions)
        assert ((found > 0.5) != moved).sum() <= 0.1 * moved.sum()
        # by 0.85^3 to 1.15^3 as large, 0.61 to 1.52
        assert 0.5 < moved.sum() / lesions.sum() < 1.7
    assert abs(n_moved - 60 * MOVED) < 20
