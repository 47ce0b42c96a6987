from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from common.arrays import BoolArray, Float32Array
from common.learning.augmentation.lesion_transplant import (
    FLUID,
    MOST_LESIONS,
    with_transplanted_lesions,
)


def patch(n_channels: int = 2, side: int = 40, seed: int = 0) -> Float32Array:
    """White matter (FLAIR 0.2, T1w 0.8) with noise; fluid in one corner, nothing in the last."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0, 0.1, (n_channels, side, side, side)).astype(np.float32)
    images += np.array([0.2, 0.8][:n_channels], np.float32)[:, None, None, None]
    images[:, :10, :10, :] -= 3
    images[:, :, :, -8:] = 0
    return images


def none(images: Float32Array, n_references: int = 1) -> BoolArray:
    return np.zeros((n_references, *images.shape[1:]), np.bool_)


def first_with_lesions(
    images: Float32Array, n_references: int = 1
) -> tuple[Float32Array, BoolArray]:
    """The first of the seeds that draws lesions, which half of them do."""
    for seed in range(20):
        made = with_transplanted_lesions(
            images, none(images, n_references), np.random.default_rng(seed)
        )
        if made[1].any():
            return made
    raise AssertionError("20 of 20 draws of probability one half without a lesion")


def test_about_half_of_the_lesion_free_patches_get_lesions() -> None:
    images = patch()
    n = sum(
        with_transplanted_lesions(images, none(images), np.random.default_rng(seed))[1].any()
        for seed in range(100)
    )
    assert 33 <= n <= 67  # 50 plus and minus 3.4 standard deviations of 5


def test_a_case_without_a_t1w_gets_the_lesions_of_flair_alone_and_its_channel_stays_zeros() -> None:
    without = patch()
    without[1] = 0
    made, lesions = first_with_lesions(without)
    expected, of_flair = first_with_lesions(without[:1])
    assert not made[1].any()
    np.testing.assert_array_equal(made[:1], expected)
    np.testing.assert_array_equal(lesions, of_flair)


def test_a_patch_with_a_lesion_is_left_as_it_is() -> None:
    images = patch()
    lesions = none(images)
    lesions[0, 20, 20, 20] = True
    for seed in range(10):
        made = with_transplanted_lesions(images, lesions, np.random.default_rng(seed))
        np.testing.assert_array_equal(made[0], images)
        np.testing.assert_array_equal(made[1], lesions)


@given(seed=st.integers(0, 10_000), n_channels=st.integers(1, 2))
def test_lesions_are_in_images_and_references_or_in_neither(seed: int, n_channels: int) -> None:
    images = patch(n_channels)
    kept = images.copy()
    made, lesions = with_transplanted_lesions(images, none(images, 3), np.random.default_rng(seed))
    np.testing.assert_array_equal(images, kept)  # the original is not written into
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    changed = (made != images).any(axis=0)
    assert (lesions == lesions[0]).all()
    assert lesions.any() == changed.any()
    assert not (lesions[0] & ~changed).any()
    # nothing outside the brain, nothing in fluid
    assert not changed[(images == 0).all(axis=0)].any()
    assert not lesions[0][images[0] < 0.2 - FLUID[0] - 1].any()
    n = ndimage.label(lesions[0], structure=np.ones((3, 3, 3)))[1]
    assert n <= MOST_LESIONS  # each in one piece


def test_a_lesion_is_brighter_in_the_flair_and_darker_in_the_t1w() -> None:
    images = patch()
    made, lesions = first_with_lesions(images)
    inside = lesions[0]
    assert made[0][inside].mean() > images[0][inside].mean() + 0.3
    assert made[1][inside].mean() < images[1][inside].mean()


def test_no_lesion_is_drawn_where_there_is_no_white_matter() -> None:
    images = patch()
    images[1] = -1.0  # the T1w of grey matter and fluid
    for seed in range(20):
        made = with_transplanted_lesions(images, none(images), np.random.default_rng(seed))
        assert not made[1].any()
    empty = np.zeros_like(images)
    for seed in range(20):
        made = with_transplanted_lesions(empty, none(empty), np.random.default_rng(seed))
        assert not made[1].any()


def test_the_same_seed_draws_the_same_lesions() -> None:
    images = patch()
    one, two = (
        with_transplanted_lesions(images, none(images), np.random.default_rng(4)) for _ in range(2)
    )
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
