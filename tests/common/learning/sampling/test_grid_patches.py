from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from common.errors import SiteDataError
from common.learning.sampling.grid_patches import GridPatches, grid_starts
from tests.patch_networks import BrainCase

SHAPE = (20, 12, 9)
PATCH = (8, 8, 8)


def case(*lesion_boxes: tuple[slice, slice, slice]) -> BrainCase:
    """Every voxel's value is its own flat index."""
    lesions = np.zeros(SHAPE, bool)
    for box in lesion_boxes:
        lesions[box] = True
    image = np.arange(lesions.size, dtype=np.float32).reshape(1, *SHAPE)
    return BrainCase(image, np.ones_like(lesions), lesions)


CORNER = (slice(0, 2), slice(0, 2), slice(0, 1))
"""In one patch: no other than the first begins below voxel 2 along i and j and 1 along k."""
LARGE = (slice(2, 18), slice(2, 10), slice(2, 8))
"""In all of the grid's patches."""


def test_neighbours_are_half_a_patch_apart_and_the_last_ends_with_the_volume() -> None:
    starts = grid_starts(SHAPE, PATCH)
    along = [sorted({start[axis] for start in starts}) for axis in range(3)]
    assert along == [[0, 4, 8, 12], [0, 4], [0, 1]]
    assert len(starts) == 4 * 2 * 2
    assert grid_starts((21, 8, 5), PATCH) == [(i, 0, -2) for i in (0, 4, 8, 12, 13)]


@pytest.mark.parametrize("shape", [(20, 12, 9), (8, 8, 8), (5, 30, 17), (9, 16, 31)])
def test_every_voxel_is_in_a_patch(shape: tuple[int, int, int]) -> None:
    seen = np.zeros(shape, bool)
    for start in grid_starts(shape, PATCH):
        seen[tuple(slice(max(0, s), s + p) for s, p in zip(start, PATCH, strict=True))] = True
    assert seen.all()


def test_only_patches_with_a_lesion_are_drawn_each_as_often_whatever_the_lesions_size() -> None:
    """One patch of the first case and sixteen of the second: the first comes once in seventeen.

    By voxels it would come 4 times in 772.
    """
    sampler = GridPatches([case(CORNER), case(LARGE)], patch_shape=PATCH)
    batch = sampler.draw_batch(3400, np.random.default_rng(0))
    assert batch.references.any(axis=(1, 2, 3, 4)).all()
    places = Counter(
        (int(n), float(p[0, 0, 0, 0])) for n, p in zip(batch.cases, batch.images, strict=True)
    )
    assert len(places) == 17
    assert all(140 < n < 260 for n in places.values())  # 200 expected, four deviations of 14


def test_a_patch_holds_the_image_and_the_reference_of_its_place() -> None:
    sampler = GridPatches([case(CORNER)], patch_shape=PATCH)
    patch = sampler.draw(np.random.default_rng(1))
    np.testing.assert_array_equal(patch.image[0], case().image[0, :8, :8, :8])
    assert patch.references.sum() == 4
    assert patch.case == 0


def test_a_site_without_a_lesion_is_refused() -> None:
    with pytest.raises(SiteDataError, match="no lesion voxel in the reference of 1 cases"):
        GridPatches([case()], patch_shape=PATCH)
