from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from common.arrays import BoolArray, Float32Array
from common.learning.augmentation.scanner import (
    AIR,
    as_other_scanner,
    with_bias,
    with_rician_noise,
)


def patch() -> tuple[Float32Array, BoolArray]:
    """A brain of z-scores in 12 x 10 x 8 voxels with 0 around it, and a bright lesion in FLAIR."""
    random = np.random.default_rng(7)
    images = np.zeros((2, 12, 10, 8), np.float32)
    images[:, 2:11, 1:9, 1:7] = random.normal(0, 0.3, (2, 9, 8, 6))
    lesions = np.zeros((1, 12, 10, 8), bool)
    lesions[:, 5:8, 4:7, 2:6] = True
    images[0][lesions[0]] += 3
    return images, lesions


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_zeros_stay_zero_lesions_stay_where_they_are_and_bright(seed: int) -> None:
    images, lesions = patch()
    found, moved = as_other_scanner(images, lesions, np.random.default_rng(seed))
    np.testing.assert_array_equal(moved, lesions)
    assert found.dtype == np.float32
    assert (found[images == 0] == 0).all()
    assert np.isfinite(found).all()
    flair, lesion, brain = found[0], lesions[0], images[0] != 0
    assert flair[lesion].mean() > flair[brain & ~lesion].mean() + 0.3


def test_a_channel_without_an_image_stays_empty() -> None:
    images, lesions = patch()
    images[1] = 0
    for seed in range(10):
        found, _ = as_other_scanner(images, lesions, np.random.default_rng(seed))
        assert not found[1].any()
        assert found[0].any()


def test_two_dates_that_were_alike_each_get_a_scanner_of_their_own() -> None:
    images, lesions = patch()
    images[1] = images[0]
    found, _ = as_other_scanner(images, lesions, np.random.default_rng(0))
    assert np.abs(found[0] - found[1]).max() > 0.1


def test_noise_is_gaussian_in_bright_voxels_and_lifts_dark_ones() -> None:
    random = np.random.default_rng(2)
    bright = with_rician_noise(np.full((40, 40, 40), 2, np.float32), 0.2, random)
    assert abs(bright.mean() - 2) < 0.01
    assert abs(bright.std() - 0.2) < 0.01
    dark = with_rician_noise(np.full((40, 40, 40), AIR - 1, np.float32), 0.2, random)
    # a Rayleigh distribution: mean 0.2 sqrt(pi / 2) = 0.2507 above the air
    assert abs(dark.mean() - AIR - 0.2507) < 0.01
    assert dark.min() >= AIR


def test_a_bias_field_multiplies_from_the_air_on_and_is_smooth() -> None:
    image = np.full((9, 5, 7), AIR + 2, np.float32)
    field = with_bias(image, 0.1, np.random.default_rng(3)) - np.float32(AIR)
    assert field.shape == (9, 5, 7)
    assert 0.01 < np.log(field / 2).std() < 0.2
    # linear between three points: along i the second difference of the logarithm is 0 but for the
    # middle
    bends = np.abs(np.diff(np.log(field), 2, axis=0))
    assert bends[[0, 1, 2, 4, 5, 6]].max() < 1e-4
    air = np.full((9, 5, 7), AIR, np.float32)
    np.testing.assert_array_equal(with_bias(air, 0.1, np.random.default_rng(3)), air)
