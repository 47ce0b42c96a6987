from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.arrays import BoolArray, Float32Array
from common.errors import ConfigError
from common.learning.augmentation.mirror import mirrored_left_right
from common.learning.augmentation.quarter_turns import turned_by_quarters
from common.learning.augmentation.registry import AUGMENTATIONS, augmented

NAMES = ("mirror-left-right", "mirror", "quarter-turns", "image-quality")


def patch(seed: int = 0) -> tuple[Float32Array, BoolArray]:
    """Two channels and three references of 4 x 4 x 6 voxels."""
    random = np.random.default_rng(seed)
    images = random.normal(size=(2, 4, 4, 6)).astype(np.float32)
    return images, random.random((3, 4, 4, 6)) < 0.2


@pytest.mark.parametrize("name", ["scanner", "rotation-scaling", "modality-dropout"])
def test_those_that_change_lesions_or_channels_keep_shapes_types_and_originals(name: str) -> None:
    images, lesions = patch()
    before = images.copy(), lesions.copy()
    images.flags.writeable = lesions.flags.writeable = False
    mirrored_first = ["mirror", name]  # strides below 0
    for seed in range(20):
        found, moved = augmented(images, lesions, mirrored_first, np.random.default_rng(seed))
        again, _ = augmented(images, lesions, mirrored_first, np.random.default_rng(seed))
        np.testing.assert_array_equal(found, again)
        assert (found.shape, found.dtype) == (images.shape, images.dtype)
        assert (moved.shape, moved.dtype) == (lesions.shape, lesions.dtype)
        assert np.isfinite(found).all()
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(lesions, before[1])


def test_the_names_are_those_of_the_recipe() -> None:
    assert set(AUGMENTATIONS) >= set(NAMES)


@given(names=st.lists(st.sampled_from(NAMES), max_size=5), seed=st.integers(0, 2**32 - 1))
def test_shapes_types_lesion_volumes_and_the_originals_stay(names: list[str], seed: int) -> None:
    images, lesions = patch()
    images.flags.writeable = lesions.flags.writeable = False
    found, moved = augmented(images, lesions, names, np.random.default_rng(seed))
    assert (found.shape, found.dtype) == (images.shape, images.dtype)
    assert (moved.shape, moved.dtype) == (lesions.shape, lesions.dtype)
    assert found.flags.c_contiguous
    assert moved.flags.c_contiguous
    np.testing.assert_array_equal(moved.sum((1, 2, 3)), lesions.sum((1, 2, 3)))


@given(names=st.lists(st.sampled_from(NAMES), max_size=4), seed=st.integers(0, 2**32 - 1))
def test_the_same_random_numbers_give_the_same_patch(names: list[str], seed: int) -> None:
    images, lesions = patch()
    first = augmented(images, lesions, names, np.random.default_rng(seed))
    again = augmented(images, lesions, names, np.random.default_rng(seed))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_augmentations_follow_each_other_in_the_order_given() -> None:
    images, lesions = patch()
    for seed in range(10):
        found, moved = augmented(
            images, lesions, ["mirror-left-right", "quarter-turns"], np.random.default_rng(seed)
        )
        random = np.random.default_rng(seed)
        by_hand = turned_by_quarters(*mirrored_left_right(images, lesions, random), random)
        np.testing.assert_array_equal(found, by_hand[0])
        np.testing.assert_array_equal(moved, by_hand[1])


def test_none_leaves_the_patch_and_draws_nothing() -> None:
    images, lesions = patch()
    random = np.random.default_rng(5)
    found, moved = augmented(images, lesions, [], random)
    np.testing.assert_array_equal(found, images)
    np.testing.assert_array_equal(moved, lesions)
    assert random.random() == np.random.default_rng(5).random()


def test_an_unknown_name_is_refused() -> None:
    images, lesions = patch()
    with pytest.raises(ConfigError, match="no augmentation 'elastic': want one of mirror-left"):
        augmented(images, lesions, ["elastic"], np.random.default_rng(0))
