from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from common.arrays import IndexArray
from common.errors import SiteDataError
from common.learning.sampling.lesion_voxels import LesionVoxels
from tests.patch_networks import BrainCase

Voxel = tuple[int, int, int]


def case(shape: Voxel, *lesions: Voxel, offset: int = 1) -> BrainCase:
    """Two channels: every voxel's own number from `offset` on, and its negative."""
    numbers = np.arange(offset, offset + np.prod(shape), dtype=np.float32).reshape(shape)
    mask = np.zeros(shape, bool)
    for voxel in lesions:
        mask[voxel] = True
    return BrainCase(np.stack([numbers, -numbers]), np.ones(shape, bool), mask)


def flat(*voxels: int) -> IndexArray:
    return np.array(voxels, np.intp)


def test_the_first_share_is_centred_on_lesions_and_the_others_on_negatives() -> None:
    # voxel (2, 3, 4) of (5, 6, 7) has number 1 + 2 * 42 + 3 * 7 + 4 = 110; flat 5 has number 6
    voxels = LesionVoxels(
        [case((5, 6, 7), (2, 3, 4))], negatives=[flat(5)], lesion_share=0.5, half_turn=False
    )
    images, truth, _ = voxels.draw_batch(6, np.random.default_rng(0))
    assert images.shape == (6, 2, 11, 11, 11)
    assert images.dtype == np.float32
    assert truth.tolist() == [[True]] * 3 + [[False]] * 3
    assert images[:, 0, 5, 5, 5].tolist() == [110] * 3 + [6] * 3
    np.testing.assert_array_equal(images[:, 1], -images[:, 0])


def test_a_patch_holds_the_neighbours_in_place_and_zeros_beyond_the_volume() -> None:
    volume = case((5, 6, 7), (2, 3, 4))
    voxels = LesionVoxels([volume], negatives=[flat(5)], lesion_share=0.5, half_turn=False)
    images, _, _ = voxels.draw_batch(2, np.random.default_rng(0))
    expected = np.zeros((2, 11, 11, 11))
    # centre 5 is (2, 3, 4): the volume begins at (3, 2, 1) of the patch, and fits
    expected[:, 3:8, 2:8, 1:8] = volume.image
    np.testing.assert_array_equal(images[0], expected)


@pytest.mark.parametrize(
    ("n_patches", "lesion_share", "n_lesion"),
    [
        pytest.param(5, 0.5, 3, id="a half is rounded up"),
        pytest.param(128, 0.3, 38, id="38.4"),
        pytest.param(10, 0.7, 7, id="7, though 10 * 0.7 is a little more"),
        pytest.param(10, 0.01, 1, id="one lesion at least"),
        pytest.param(10, 0.99, 9, id="one negative at least"),
        pytest.param(1, 0.01, 1, id="a batch of one is a lesion"),
    ],
)
def test_the_share_of_lesions_is_rounded_to_whole_patches(
    n_patches: int, lesion_share: float, n_lesion: int
) -> None:
    voxels = LesionVoxels(
        [case((3, 3, 3), (1, 1, 1))],
        negatives=[flat(0)],
        lesion_share=lesion_share,
        half_turn=False,
    )
    images, truth, _ = voxels.draw_batch(n_patches, np.random.default_rng(0))
    assert truth[:, 0].tolist() == [True] * n_lesion + [False] * (n_patches - n_lesion)
    assert (images[:, 0, 5, 5, 5] == 14).sum() == n_lesion  # the lesion is voxel 14 of 27


def test_a_case_counts_by_its_lesion_voxels_in_both_halves() -> None:
    cases = [
        case((1, 1, 6), (0, 0, 0), (0, 0, 2), (0, 0, 5)),
        case((1, 1, 6), (0, 0, 4), offset=101),
        case((1, 1, 6), offset=201),
    ]
    voxels = LesionVoxels(
        cases, negatives=[flat(1, 3), flat(0), flat(2)], lesion_share=0.5, half_turn=False
    )
    images, truth, _ = voxels.draw_batch(2400, np.random.default_rng(1))
    centres = images[:, 0, 5, 5, 5].astype(int)
    positive, negative = Counter(centres[truth[:, 0]]), Counter(centres[~truth[:, 0]])
    # lesion voxels 1, 3, 6 and 105 at 1200 / 4 = 300 each; standard deviation 15, within 5 of them
    assert set(positive) == {1, 3, 6, 105}
    assert all(abs(n - 300) < 75 for n in positive.values())
    # the first case 3/4 of 1200 = 900, half each for its two negatives; the third has no lesion
    assert set(negative) == {2, 4, 101}
    assert abs(negative[2] - 450) < 85
    assert abs(negative[101] - 300) < 75


def test_half_turns_change_half_of_the_batch_in_plane_alone() -> None:
    volume = case((11, 11, 11), (5, 5, 5))
    voxels = LesionVoxels(
        [volume], negatives=[flat(5 * 121 + 5 * 11 + 5)], lesion_share=0.5, half_turn=True
    )
    images, _, _ = voxels.draw_batch(200, np.random.default_rng(2))
    whole = volume.image
    forms = {
        "as it is": whole,
        "turned": whole[:, ::-1, ::-1],
        "flipped": whole[:, ::-1],
        "both": whole[:, :, ::-1],
    }
    found = Counter(
        next(name for name, form in forms.items() if np.array_equal(image, form))
        for image in images
    )
    assert found["as it is"] == 100
    # 33 each of 100, standard deviation 4.7
    assert all(abs(found[name] - 33) < 24 for name in ("turned", "flipped", "both"))


def test_lesions_and_negatives_are_turned_alike() -> None:
    volume = case((11, 11, 11), (5, 5, 5))
    voxels = LesionVoxels(
        [volume], negatives=[flat(5 * 121 + 5 * 11 + 5)], lesion_share=0.5, half_turn=True
    )
    images, truth, _ = voxels.draw_batch(400, np.random.default_rng(3))
    turned = np.any(images != volume.image, axis=(1, 2, 3, 4))
    # 200 of 400 are turned, 100 of them lesions; hypergeometric standard deviation 5
    assert abs(turned[truth[:, 0]].sum() - 100) < 30


def test_the_same_random_numbers_give_the_same_batch_and_leave_the_case_as_it_was() -> None:
    volume = case((6, 7, 8), (1, 2, 3), (4, 5, 6))
    before = volume.image.copy()
    voxels = LesionVoxels([volume], negatives=[flat(0, 9, 44)], lesion_share=0.5, half_turn=True)
    first, _, _ = voxels.draw_batch(9, np.random.default_rng(4))
    again, _, _ = voxels.draw_batch(9, np.random.default_rng(4))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(volume.image, before)


def test_a_case_without_negatives_still_gives_its_lesions() -> None:
    cases = [case((1, 1, 4), (0, 0, 0)), case((1, 1, 4), (0, 0, 1), offset=101)]
    voxels = LesionVoxels(cases, negatives=[flat(), flat(3)], lesion_share=0.5, half_turn=False)
    images, truth, _ = voxels.draw_batch(40, np.random.default_rng(5))
    centres = images[:, 0, 5, 5, 5]
    assert set(centres[truth[:, 0]]) == {1, 102}
    assert set(centres[~truth[:, 0]]) == {104}


def test_a_site_without_a_lesion_cannot_train() -> None:
    without = case((4, 4, 4))
    unlabelled = BrainCase(without.image, without.brain, None)
    with pytest.raises(SiteDataError, match=r"reference of 2 cases.*cannot train") as caught:
        LesionVoxels(
            [without, unlabelled], negatives=[flat(1), flat(2)], lesion_share=0.5, half_turn=False
        )
    assert caught.value.code == "no-lesions"


def test_a_site_without_a_negative_voxel_cannot_train() -> None:
    with pytest.raises(SiteDataError, match=r"no voxel without lesion .* in 1 cases") as caught:
        LesionVoxels(
            [case((4, 4, 4), (1, 1, 1))], negatives=[flat()], lesion_share=0.5, half_turn=False
        )
    assert caught.value.code == "no-negatives"
