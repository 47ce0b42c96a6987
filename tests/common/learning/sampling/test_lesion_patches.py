from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SiteDataError
from common.learning.sampling.lesion_patches import LesionPatches

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Case:
    image: npt.NDArray[np.float32]
    lesions: npt.NDArray[np.bool_] | None


def case_with_lesions_at(shape: Shape, *voxels: Shape, offset: int = 1) -> Case:
    """Two channels: every voxel's own number from `offset` on, and its negative."""
    numbers = np.arange(offset, offset + np.prod(shape), dtype=np.float32).reshape(shape)
    lesions = np.zeros(shape, bool)
    for voxel in voxels:
        lesions[voxel] = True
    return Case(np.stack([numbers, -numbers]), lesions)


shapes = st.tuples(*[st.integers(1, 9)] * 3)


@given(shape=shapes, patch_shape=shapes, seed=st.integers(0, 2**32), data=st.data())
def test_a_patch_is_a_piece_of_the_volume_with_a_lesion_and_zeros_around(
    shape: Shape, patch_shape: Shape, seed: int, data: st.DataObject
) -> None:
    first, second, third = (data.draw(st.integers(0, n - 1)) for n in shape)
    case = case_with_lesions_at(shape, (first, second, third))
    patches = LesionPatches([case], patch_shape=patch_shape)
    image, lesions = patches.draw(np.random.default_rng(seed))
    assert image.shape == (2, *patch_shape)
    assert lesions.sum() == 1
    kept = np.argwhere(image[0])
    # along each axis as much of the volume as fits, in one piece
    expected = [min(n, p) for n, p in zip(shape, patch_shape, strict=True)]
    np.testing.assert_array_equal(np.ptp(kept, axis=0) + 1, expected)
    assert len(kept) == np.prod(expected)
    lesion_number = case.image[0, first, second, third]
    np.testing.assert_array_equal(image[0][lesions], lesion_number)
    np.testing.assert_array_equal(image[1], -image[0])


def test_every_place_that_holds_the_lesion_inside_the_volume_is_as_likely() -> None:
    # along i: volume 8, patch 3, lesion at 1: the patch may start at 0 or 1, not at -1
    # along j: volume 2, patch 4: the volume starts at 0, 1 or 2 of the patch
    # along k: volume 5, patch 5: one place
    patches = LesionPatches([case_with_lesions_at((8, 2, 5), (1, 0, 3))], patch_shape=(3, 4, 5))
    random = np.random.default_rng(1)
    places: Counter[tuple[int, ...]] = Counter()
    for _ in range(1200):
        image, lesions = patches.draw(random)
        start_j = int(np.argwhere(image[0])[0][1])
        places[int(np.argwhere(lesions)[0][0]), start_j] += 1
    assert set(places) == {(i, j) for i in (0, 1) for j in (0, 1, 2)}
    # 1200 / 6 = 200 each, standard deviation sqrt(1200 * 5 / 36) = 12.9: within 5 of them
    assert all(abs(n - 200) < 65 for n in places.values())


def test_every_case_is_as_likely_and_so_is_every_lesion_voxel_in_it() -> None:
    cases = [
        case_with_lesions_at((1, 1, 6), (0, 0, 0), (0, 0, 2), (0, 0, 5)),
        case_with_lesions_at((1, 1, 6), (0, 0, 4), offset=101),
        case_with_lesions_at((1, 1, 6), offset=201),
    ]
    patches = LesionPatches(cases, patch_shape=(1, 1, 1))
    random = np.random.default_rng(2)
    drawn = Counter(int(patches.draw(random)[0][0, 0, 0, 0]) for _ in range(1200))
    # voxel numbers 1, 3, 6 at 1/2 * 1/3 = 200 each, 105 at 1/2 = 600, none of the third case
    assert set(drawn) == {1, 3, 6, 105}
    assert all(abs(drawn[number] - 200) < 65 for number in (1, 3, 6))
    assert abs(drawn[105] - 600) < 87


def test_mirror_flips_image_and_lesions_together_half_of_the_time() -> None:
    patches = LesionPatches(
        [case_with_lesions_at((2, 1, 1), (0, 0, 0))], patch_shape=(2, 1, 1), mirror=True
    )
    random = np.random.default_rng(3)
    drawn = [patches.draw(random) for _ in range(400)]
    flipped = [bool(lesions[1, 0, 0]) for _, lesions in drawn]
    # the image's voxels are 1, 2 with the lesion at 1, or 2, 1 with the lesion at 1
    assert [list(image[0, :, 0, 0]) for image, _ in drawn] == [
        [2, 1] if flip else [1, 2] for flip in flipped
    ]
    assert 150 < sum(flipped) < 250  # 200, standard deviation 10


def test_a_batch_stacks_patches_and_repeats_with_its_seed() -> None:
    case = case_with_lesions_at((9, 7, 5), (4, 2, 1), (0, 6, 4))
    patches = LesionPatches([case], patch_shape=(4, 3, 2), mirror=True)
    images, lesions = patches.draw_batch(3, np.random.default_rng(4))
    again, _ = patches.draw_batch(3, np.random.default_rng(4))
    assert images.shape == (3, 2, 4, 3, 2)
    assert lesions.shape == (3, 4, 3, 2)
    assert images.dtype == np.float32
    assert lesions.dtype == np.bool_
    np.testing.assert_array_equal(images, again)


def test_memory_mapped_cases_are_sliced_and_a_changed_patch_leaves_them_as_they_were(
    tmp_path: Path,
) -> None:
    case = case_with_lesions_at((6, 5, 4), (3, 2, 1))
    np.save(tmp_path / "image.npy", case.image)
    assert case.lesions is not None
    np.save(tmp_path / "lesions.npy", case.lesions)
    mapped = Case(
        np.load(tmp_path / "image.npy", mmap_mode="r", allow_pickle=False),
        np.load(tmp_path / "lesions.npy", mmap_mode="r", allow_pickle=False),
    )
    patch, lesions = LesionPatches([mapped], patch_shape=(6, 5, 4)).draw(np.random.default_rng(5))
    assert not isinstance(patch, np.memmap)
    np.testing.assert_array_equal(patch, case.image)
    patch[:] = 0
    lesions[:] = False
    np.testing.assert_array_equal(mapped.image, case.image)


def test_a_site_without_a_lesion_cannot_train() -> None:
    image = np.zeros((1, 4, 4, 4), np.float32)
    cases = [Case(image, np.zeros((4, 4, 4), bool)), Case(image, None)]
    with pytest.raises(
        SiteDataError, match=r"reference of 2 cases.*may join the statistics, but cannot train"
    ):
        LesionPatches(cases, patch_shape=(2, 2, 2))
