from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.arrays import BoolArray, Float32Array
from common.errors import SiteDataError
from common.learning.sampling.centreline_patches import CentrelinePatches, centreline_points

SHAPE = (9, 8, 30)


@dataclass(frozen=True)
class Case:
    image: Float32Array
    brain: BoolArray
    lesions: BoolArray | None

    def references(self, n_outputs: int) -> tuple[BoolArray, ...]:
        """Every rater but the consensus sees nothing."""
        assert self.lesions is not None
        nothing = [np.zeros_like(self.lesions)] * (n_outputs - 1)
        return (*nothing, self.lesions)


def cord(*lesions: tuple[int, int, int], labelled: bool = True, offset: float = 1.0) -> Case:
    """A slanting tube, one voxel aside every ten slices; each voxel of the image has a number."""
    region = np.zeros(SHAPE, bool)
    for k in range(SHAPE[2]):
        region[2 + k // 10 : 5 + k // 10, 3:6, k] = True
    mask = np.zeros(SHAPE, bool)
    for voxel in lesions:
        mask[voxel] = True
    numbers = np.arange(region.size, dtype=np.float32).reshape(SHAPE) + np.float32(offset)
    return Case(numbers[None], region, mask if labelled else None)


def sampler(*cases: Case, lesion_share: float = 1.0, n_outputs: int = 1) -> CentrelinePatches:
    return CentrelinePatches(
        cases, patch_shape=(5, 5, 8), lesion_share=lesion_share, n_outputs=n_outputs
    )


def test_the_points_are_the_middles_of_the_slices_across_the_longest_axis() -> None:
    """Along j: slice 1 holds (0, 2) and (2, 3) in (i, k): (1, 2.5), even 2; slice 5 (3, 4)."""
    region = np.zeros((4, 9, 5), bool)
    region[0, 1, 2] = region[2, 1, 3] = region[3, 5, 4] = True
    assert centreline_points(region).tolist() == [[1, 1, 2], [3, 5, 4]]


@given(
    i=st.integers(2, 6),
    k=st.integers(0, 29),
    seed=st.integers(0, 2**32),
    share=st.sampled_from([0.3, 1.0]),
)
def test_a_patch_is_a_piece_of_the_volume_near_the_centreline(
    i: int, k: int, seed: int, share: float
) -> None:
    case = cord((3 + k // 10, 4, k))
    images, truth, _ = sampler(case, lesion_share=share).draw_batch(3, np.random.default_rng(seed))
    assert images.shape == truth.shape == (3, 1, 5, 5, 8)
    points = centreline_points(case.brain)
    for image, lesions in zip(images[:, 0], truth[:, 0], strict=True):
        start = np.array(np.unravel_index(int(image[0, 0, 0]) - 1, SHAPE))
        inside = tuple(slice(a, a + n) for a, n in zip(start, image.shape, strict=True))
        np.testing.assert_array_equal(image, case.image[0][inside])
        assert case.lesions is not None
        np.testing.assert_array_equal(lesions, case.lesions[inside])
        # (5, 5, 8) // 8 = (0, 0, 1) of jitter, and the volume's ends hold the patch back
        middle = start + np.array([2, 2, 4])
        low, high = np.array([2, 2, 4]), np.array(SHAPE) - [3, 3, 4]
        near = np.abs(np.clip(points, low, high) - middle) <= [0, 0, 1]
        assert near.all(axis=1).any()
        assert share < 1 or lesions.any()


def test_the_share_with_lesion_is_as_asked_for() -> None:
    """A lesion in slice 15: 8 of 30 points' patches hold it, so 0.4 + 0.6 * about 8/30 = 0.56."""
    drawn = sampler(cord((4, 4, 15)), lesion_share=0.4)
    _, truth, _ = drawn.draw_batch(600, np.random.default_rng(0))
    assert np.mean(truth.any(axis=(1, 2, 3, 4))) == pytest.approx(0.56, abs=0.06)


def test_lesion_free_cases_train_only_where_the_share_is_below_one() -> None:
    ill, well = cord((4, 4, 15)), cord(offset=100_000.0)
    for share, n_cases in ((1.0, 1), (0.9, 2)):
        images, _, _ = sampler(ill, well, lesion_share=share).draw_batch(
            50, np.random.default_rng(1)
        )
        assert len({image.max() >= 100_000 for image in images}) == n_cases


def test_every_slice_is_seen() -> None:
    images, _, _ = sampler(cord((4, 4, 15)), lesion_share=0.01).draw_batch(
        300, np.random.default_rng(2)
    )
    slices = {int(number - 1) % SHAPE[2] for number in images.ravel()}
    assert slices == set(range(30))


def test_along_a_smaller_volume_there_are_zeros_around() -> None:
    drawn = CentrelinePatches([cord((4, 4, 15))], patch_shape=(5, 12, 8))
    images, _, _ = drawn.draw_batch(1, np.random.default_rng(0))
    filled = np.flatnonzero(images[0, 0].any(axis=(0, 2)))
    # 8 of 12 voxels along j; the point lies at j = 4, so 4 - 6 = -2 is the first
    assert filled.tolist() == list(range(2, 10))


def test_each_output_gets_its_reference() -> None:
    _, truth, _ = sampler(cord((4, 4, 15)), n_outputs=3).draw_batch(4, np.random.default_rng(0))
    assert truth.any(axis=(2, 3, 4)).tolist() == [[False, False, True]] * 4


def test_augmentation_moves_image_and_lesion_alike() -> None:
    drawn = CentrelinePatches(
        [cord((4, 4, 15))], patch_shape=(5, 5, 8), augment=("mirror", "quarter-turns")
    )
    images, truth, _ = drawn.draw_batch(20, np.random.default_rng(0))
    # the number of voxel (4, 4, 15), counted from 1
    np.testing.assert_array_equal(images[truth], 4 * 240 + 4 * 30 + 15 + 1)


def test_cases_without_a_reference_do_not_train() -> None:
    unlabelled = cord(labelled=False, offset=100_000.0)
    images, _, _ = sampler(cord((4, 4, 15)), unlabelled, lesion_share=0.5).draw_batch(
        30, np.random.default_rng(0)
    )
    assert images.max() < 100_000


def test_a_site_without_a_lesion_near_the_cord_cannot_train() -> None:
    with pytest.raises(SiteDataError, match=r"no lesion voxel within a patch .* of 2 cases"):
        sampler(cord(), cord((0, 0, 15)), lesion_share=0.5)
