from __future__ import annotations

import numpy as np
import pytest

from common.errors import ConfigError
from common.learning.augmentation.quarter_turns import turned_by_quarters


def test_a_turn_is_one_of_the_ten_that_a_cube_has_about_its_axes_and_each_angle_is_as_likely() -> (
    None
):
    images = np.arange(27, dtype=np.float32).reshape(1, 3, 3, 3)
    lesions = images == 5
    turns = {
        (plane, n): np.rot90(images, n, plane)
        for plane in [(1, 2), (1, 3), (2, 3)]
        for n in range(1, 4)
    }
    random = np.random.default_rng(0)
    found = [turned_by_quarters(images, lesions, random)[0] for _ in range(600)]
    counts = {name: sum(np.array_equal(f, t) for f in found) for name, t in turns.items()}
    unturned = sum(np.array_equal(f, images) for f in found)
    # each of 9 turns 600 / 12 = 50, standard deviation 6.8; none 150, standard deviation 10.6
    assert max(abs(n - 50) for n in counts.values()) < 34
    assert abs(unturned - 150) < 53
    assert sum(counts.values()) + unturned == 600


def test_only_the_plane_of_equal_sides_is_turned() -> None:
    images = np.arange(2 * 3 * 4 * 3, dtype=np.float32).reshape(2, 3, 4, 3)
    expected = [np.rot90(images, n, (1, 3)) for n in range(4)]
    random = np.random.default_rng(1)
    seen = set()
    for _ in range(60):
        found, _ = turned_by_quarters(images, images > 30, random)
        seen |= {n for n, turned in enumerate(expected) if np.array_equal(found, turned)}
        assert found.shape == images.shape
    assert seen == {0, 1, 2, 3}


def test_lesions_turn_with_the_images() -> None:
    images = np.arange(54, dtype=np.float32).reshape(2, 3, 3, 3)
    for seed in range(12):
        found, moved = turned_by_quarters(
            images, images[[0, 1, 1]] % 7 == 3, np.random.default_rng(seed)
        )
        np.testing.assert_array_equal(moved, found[[0, 1, 1]] % 7 == 3)


def test_a_patch_of_three_different_sides_is_refused() -> None:
    images = np.zeros((1, 2, 3, 4), np.float32)
    with pytest.raises(ConfigError, match=r"two equal sides, got patches of shape \(2, 3, 4\)"):
        turned_by_quarters(images, images > 0, np.random.default_rng(0))
