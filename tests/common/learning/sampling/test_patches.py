from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.arrays import BoolArray, Float32Array
from common.errors import SiteDataError
from common.learning.augmentation.registry import augmented
from common.learning.sampling.patches import Patches
from common.recipe.sampling import Augmentation

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Case:
    """A case for samplers, whose only rater sees a lesion where the consensus sees none."""

    image: Float32Array
    brain: BoolArray
    lesions: BoolArray | None

    def references(self, n_outputs: int) -> tuple[BoolArray, ...]:
        """The rater n_outputs - 1 times, then the consensus."""
        assert self.lesions is not None
        return (*[~self.lesions] * (n_outputs - 1), self.lesions)


def case_with_lesions_at(
    shape: Shape, *voxels: Shape, offset: int = 1, brain: BoolArray | None = None
) -> Case:
    """Two channels: every voxel's own number from `offset` on, and its negative."""
    numbers = np.arange(offset, offset + np.prod(shape), dtype=np.float32).reshape(shape)
    lesions = np.zeros(shape, bool)
    for voxel in voxels:
        lesions[voxel] = True
    image = np.stack([numbers, -numbers])
    return Case(image, np.ones(shape, bool) if brain is None else brain, lesions)


shapes = st.tuples(*[st.integers(1, 9)] * 3)


@given(shape=shapes, patch_shape=shapes, seed=st.integers(0, 2**32), data=st.data())
def test_a_patch_is_a_piece_of_the_volume_with_a_lesion_and_zeros_around(
    shape: Shape, patch_shape: Shape, seed: int, data: st.DataObject
) -> None:
    first, second, third = (data.draw(st.integers(0, n - 1)) for n in shape)
    case = case_with_lesions_at(shape, (first, second, third))
    patches = Patches([case], patch_shape=patch_shape)
    image, references, _ = patches.draw(np.random.default_rng(seed))
    assert image.shape == (2, *patch_shape)
    assert references.shape == (1, *patch_shape)
    lesions = references[0]
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
    patches = Patches([case_with_lesions_at((8, 2, 5), (1, 0, 3))], patch_shape=(3, 4, 5))
    random = np.random.default_rng(1)
    places: Counter[tuple[int, ...]] = Counter()
    for _ in range(1200):
        image, (lesions,), _ = patches.draw(random)
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
    patches = Patches(cases, patch_shape=(1, 1, 1))
    random = np.random.default_rng(2)
    drawn = Counter(int(patches.draw(random)[0][0, 0, 0, 0]) for _ in range(1200))
    # voxel numbers 1, 3, 6 at 1/2 * 1/3 = 200 each, 105 at 1/2 = 600, none of the third case
    assert set(drawn) == {1, 3, 6, 105}
    assert all(abs(drawn[number] - 200) < 65 for number in (1, 3, 6))
    assert abs(drawn[105] - 600) < 87


def test_below_1_so_many_patches_hold_a_lesion_and_the_others_lie_anywhere_in_the_brain() -> None:
    # six voxels, of which 1 and 2 are no brain, and 6 is the lesion: numbers are 1 to 6
    brain = np.array([False, False, True, True, True, True])[None, None]
    case = case_with_lesions_at((1, 1, 6), (0, 0, 5), brain=brain)
    patches = Patches([case], patch_shape=(1, 1, 1), lesion_share=0.6)
    random = np.random.default_rng(6)
    drawn = Counter(int(patches.draw(random)[0][0, 0, 0, 0]) for _ in range(1200))
    # of 1200, 720 about the lesion; the other 480 anywhere in the brain of four voxels, 120 each,
    # the lesion among them. Standard deviations: sqrt(1200 * 0.7 * 0.3) = 15.9 and
    # sqrt(1200 * 0.1 * 0.9) = 10.4; within 5 of them
    assert set(drawn) == {3, 4, 5, 6}
    assert abs(drawn[6] - 840) < 80
    assert all(abs(drawn[number] - 120) < 52 for number in (3, 4, 5))


def test_below_1_a_case_without_a_lesion_is_drawn_as_often_as_the_others() -> None:
    cases = [
        case_with_lesions_at((1, 1, 3), (0, 0, 1)),
        case_with_lesions_at((1, 1, 3), offset=101),
        Case(np.full((2, 1, 1, 3), 900, np.float32), np.ones((1, 1, 3), bool), None),
    ]
    patches = Patches(cases, patch_shape=(1, 1, 1), lesion_share=0.9)
    random = np.random.default_rng(7)
    drawn = Counter(int(patches.draw(random)[0][0, 0, 0, 0]) > 100 for _ in range(1200))
    # the third has no reference: nothing to learn from. 600 each, standard deviation 17.3
    assert abs(drawn[True] - 600) < 87
    seen = {int(patches.draw(random)[0][0, 0, 0, 0]) for _ in range(300)}
    assert seen == {1, 2, 3, 101, 102, 103}


def test_every_patch_of_a_recipe_with_share_1_holds_a_lesion() -> None:
    case = case_with_lesions_at((9, 8, 7), (4, 2, 1))
    patches = Patches([case], patch_shape=(3, 2, 2), lesion_share=1.0)
    _, lesions, _ = patches.draw_batch(50, np.random.default_rng(8))
    assert lesions.any(axis=(1, 2, 3, 4)).all()


def test_the_references_come_in_their_order_cut_at_the_image_s_place() -> None:
    case = case_with_lesions_at((4, 3, 2), (1, 1, 1), (3, 0, 0))
    patches = Patches([case], patch_shape=(2, 2, 2), n_outputs=3)
    random = np.random.default_rng(9)
    for _ in range(20):
        image, references, _ = patches.draw(random)
        assert references.shape == (3, 2, 2, 2)
        # numbers of the lesions: 1 + 1 * 6 + 1 * 2 + 1 = 10, and 1 + 3 * 6 = 19
        consensus = np.isin(image[0], (10, 19))
        np.testing.assert_array_equal(references[2], consensus)
        np.testing.assert_array_equal(references[:2], np.stack([~consensus] * 2))


def test_mirror_left_right_flips_image_and_lesions_together_half_of_the_time() -> None:
    patches = Patches(
        [case_with_lesions_at((2, 1, 1), (0, 0, 0))],
        patch_shape=(2, 1, 1),
        augment=("mirror-left-right",),
    )
    random = np.random.default_rng(3)
    drawn = [patches.draw(random) for _ in range(400)]
    flipped = [bool(lesions[0, 1, 0, 0]) for _, lesions, _ in drawn]
    # the image's voxels are 1, 2 with the lesion at 1, or 2, 1 with the lesion at 1
    assert [list(image[0, :, 0, 0]) for image, _, _ in drawn] == [
        [2, 1] if flip else [1, 2] for flip in flipped
    ]
    assert 150 < sum(flipped) < 250  # 200, standard deviation 10


@pytest.mark.parametrize(
    "names", [(), ("mirror",), ("quarter-turns", "mirror-left-right"), ("image-quality",)]
)
def test_the_augmentations_named_are_applied_to_the_patch_in_their_order(
    names: tuple[Augmentation, ...],
) -> None:
    # the patch is the whole volume, so that only the case and the place take random numbers
    case = case_with_lesions_at((4, 4, 6), (1, 2, 3))
    patches = Patches([case], patch_shape=(4, 4, 6), n_outputs=2, augment=names)
    plain = Patches([case], patch_shape=(4, 4, 6), n_outputs=2)
    for seed in range(5):
        random = np.random.default_rng(seed)
        by_hand = augmented(*plain.draw(random)[:2], names, random)
        image, references, _ = patches.draw(np.random.default_rng(seed))
        np.testing.assert_array_equal(image, by_hand[0])
        np.testing.assert_array_equal(references, by_hand[1])


def test_a_batch_stacks_patches_and_repeats_with_its_seed() -> None:
    case = case_with_lesions_at((9, 7, 5), (4, 2, 1), (0, 6, 4))
    patches = Patches([case], patch_shape=(4, 3, 2), n_outputs=2, augment=("mirror",))
    images, lesions, _ = patches.draw_batch(3, np.random.default_rng(4))
    again, _, _ = patches.draw_batch(3, np.random.default_rng(4))
    assert images.shape == (3, 2, 4, 3, 2)
    assert lesions.shape == (3, 2, 4, 3, 2)
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
        case.brain,
        np.load(tmp_path / "lesions.npy", mmap_mode="r", allow_pickle=False),
    )
    patch, lesions, _ = Patches([mapped], patch_shape=(6, 5, 4)).draw(np.random.default_rng(5))
    assert not isinstance(patch, np.memmap)
    np.testing.assert_array_equal(patch, case.image)
    patch[:] = 0
    lesions[:] = False
    np.testing.assert_array_equal(mapped.image, case.image)


@pytest.mark.parametrize("lesion_share", [0.5, 1.0])
def test_a_site_without_a_lesion_cannot_train(lesion_share: float) -> None:
    image, brain = np.zeros((1, 4, 4, 4), np.float32), np.ones((4, 4, 4), bool)
    cases = [Case(image, brain, ~brain), Case(image, brain, None)]
    with pytest.raises(
        SiteDataError, match=r"reference of 2 cases.*may join the statistics, but cannot train"
    ):
        Patches(cases, patch_shape=(2, 2, 2), lesion_share=lesion_share)


def test_the_share_of_hard_negatives_is_of_the_patches_without_a_lesion_in_their_own_case() -> None:
    cases = [
        case_with_lesions_at((1, 1, 4), (0, 0, 1)),
        case_with_lesions_at((1, 1, 4), offset=101),
        case_with_lesions_at((1, 1, 4), offset=201),
    ]
    patches = Patches(
        cases,
        patch_shape=(1, 1, 1),
        lesion_share=0.5,
        negatives=[np.array([3]), np.array([0, 2]), np.empty(0, np.intp)],
        hard_negative_share=0.75,
    )
    random = np.random.default_rng(3)
    drawn = Counter(int(patches.draw(random)[0][0, 0, 0, 0]) for _ in range(4800))
    # of 1600 of the first case 800 at voxel 2; of the others 3/4 at 4, 50 at each voxel anywhere
    assert abs(drawn[4] - 650) < 120
    assert abs(drawn[2] - 850) < 130
    # of the second 600 at each of 101 and 103, 100 more anywhere; the third has none: 400 each
    assert abs(drawn[101] - 700) < 120
    assert abs(drawn[103] - 700) < 120
    assert abs(drawn[102] - 100) < 50
    assert all(abs(drawn[number] - 400) < 95 for number in (201, 202, 203, 204))


def test_without_the_share_negatives_change_no_draw() -> None:
    case = case_with_lesions_at((3, 4, 5), (1, 1, 1))
    plain = Patches([case], patch_shape=(2, 2, 2), lesion_share=0.5)
    given_some = Patches(
        [case], patch_shape=(2, 2, 2), lesion_share=0.5, negatives=[np.empty(0, np.intp)]
    )
    first, second = (p.draw_batch(20, np.random.default_rng(8)) for p in (plain, given_some))
    np.testing.assert_array_equal(first.images, second.images)
