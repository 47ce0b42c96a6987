from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from common.arrays import BoolArray, Float32Array
from common.learning.augmentation.mirror import mirrored, mirrored_left_right
from common.learning.augmentation.registry import Augmentation


def numbered() -> tuple[Float32Array, BoolArray]:
    """Two channels and three references of 2 x 3 x 4 voxels, no two voxels alike."""
    images = np.arange(48, dtype=np.float32).reshape(2, 2, 3, 4)
    lesions = images[[0, 1, 0]] % 5 == 2
    return images, lesions


def way_of(found: Float32Array, images: Float32Array) -> tuple[int, ...]:
    """Which of the spatial axes were mirrored."""
    ways = [axes for n in range(4) for axes in combinations(range(3), n)]
    (way,) = [w for w in ways if np.array_equal(found, np.flip(images, tuple(a + 1 for a in w)))]
    return way


def test_left_right_mirrors_the_first_axis_in_half_of_the_draws() -> None:
    images, lesions = numbered()
    random = np.random.default_rng(0)
    ways = [way_of(mirrored_left_right(images, lesions, random)[0], images) for _ in range(400)]
    assert set(ways) == {(), (0,)}
    # 200 expected, standard deviation 10
    assert abs(ways.count((0,)) - 200) < 50


def test_every_axis_is_mirrored_in_half_of_the_draws_whatever_the_others_do() -> None:
    images, lesions = numbered()
    random = np.random.default_rng(1)
    ways = [way_of(mirrored(images, lesions, random)[0], images) for _ in range(800)]
    # eight ways, 100 each, standard deviation sqrt(800 * 7 / 64) = 9.4
    counts = {way: ways.count(way) for way in set(ways)}
    assert len(counts) == 8
    assert max(abs(n - 100) for n in counts.values()) < 47


@pytest.mark.parametrize("mirror", [mirrored, mirrored_left_right])
def test_lesions_move_with_the_images(mirror: Augmentation) -> None:
    images, lesions = numbered()
    for seed in range(10):
        found, moved = mirror(images, lesions, np.random.default_rng(seed))
        np.testing.assert_array_equal(moved, found[[0, 1, 0]] % 5 == 2)
