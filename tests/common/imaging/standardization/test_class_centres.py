from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.arrays import FloatArray
from common.errors import SiteDataError
from common.imaging.standardization.class_centres import (
    class_centres,
    intensity_classes,
    relative_centres,
)
from tests.common.imaging.standardization.tissues import nine_voxels

Array = FloatArray

seeds = st.integers(0, 2**32 - 1)


def brightness(seed: int, n: int = 600) -> Array:
    """A skewed mixture of three groups of random place, width and size, all above 0."""
    random = np.random.default_rng(seed)
    places = random.uniform(0.1, 3.0, 3)
    groups = random.choice(3, size=n, p=random.dirichlet([1, 1, 1]))
    spread: Array = places[groups] * random.lognormal(0, random.uniform(0.02, 0.6), n)
    return spread


def plain_lloyd(voxels: Array) -> Array:
    """The method as written: every voxel to its nearest centre, every centre to its mean."""
    centres: Array = np.array([0.3, 0.7, 0.9]) * voxels.mean()
    for _ in range(200):
        nearest = np.argmin(np.abs(voxels[:, None] - centres), axis=1)
        moved = np.array(
            [voxels[nearest == k].mean() if np.any(nearest == k) else centres[k] for k in range(3)]
        )
        if np.allclose(moved, centres, rtol=1e-13, atol=0):
            break
        centres = moved
    return centres


def test_centres_are_those_worked_by_hand() -> None:
    # mean 10, start 3 7 9, borders 5 8:    {1 2 3} -> 2, none -> 7 stays, {9 10 11 17 18 19} -> 14
    # borders 4.5 10.5:                     2, {9 10} -> 9.5, {11 17 18 19} -> 16.25
    # borders 5.75 12.875:                  2, {9 10 11} -> 10, {17 18 19} -> 18; nothing moves
    np.testing.assert_allclose(class_centres(*nine_voxels()), [2, 10, 18])


def test_relative_centres_are_in_units_of_the_mean_inside_the_brain() -> None:
    np.testing.assert_allclose(relative_centres(*nine_voxels()), [0.2, 1.0, 1.8])


def test_an_empty_class_keeps_its_centre_and_a_voxel_midway_goes_down() -> None:
    # mean 10, start 3 7 9, borders 5 8: none -> 3 stays, {8} -> 8, {12} -> 12; then borders 5.5 10
    classes = intensity_classes(np.array([12.0, 8.0]))
    np.testing.assert_allclose(classes.centres, [3, 8, 12])
    np.testing.assert_allclose(classes.shares, [0, 0.5, 0.5])


def test_shares_count_each_class() -> None:
    # 2 of 10 voxels at 2, 5 at 10, 3 at 18
    classes = intensity_classes(np.repeat([2.0, 10.0, 18.0], [2, 5, 3]))
    np.testing.assert_allclose(classes.shares, [0.2, 0.5, 0.3])


@settings(deadline=None)
@given(seeds)
def test_centres_equal_a_plain_lloyd(seed: int) -> None:
    voxels = brightness(seed)
    np.testing.assert_allclose(intensity_classes(voxels).centres, plain_lloyd(voxels), rtol=1e-9)


@given(seeds)
def test_centres_rise_and_shares_add_up(seed: int) -> None:
    classes = intensity_classes(brightness(seed, n=12))
    assert np.all(np.diff(classes.centres) > 0)
    assert classes.shares.sum() == pytest.approx(1)


@given(seeds)
def test_the_order_of_the_voxels_does_not_matter(seed: int) -> None:
    voxels = brightness(seed)
    shuffled = np.random.default_rng(seed).permutation(voxels)
    np.testing.assert_array_equal(
        intensity_classes(voxels).centres, intensity_classes(shuffled).centres
    )


@given(seeds, st.floats(1e-4, 1e6))
def test_a_scanners_gain_leaves_relative_centres_alone(seed: int, gain: float) -> None:
    image = brightness(seed).reshape(10, 12, 5)
    brain = np.ones(image.shape, dtype=bool)
    np.testing.assert_allclose(
        relative_centres(gain * image, brain), relative_centres(image, brain), rtol=1e-9
    )


@pytest.mark.parametrize("shift", [-10, -30])
def test_an_image_already_standardized_is_refused(shift: float) -> None:
    image, brain = nine_voxels()
    with pytest.raises(SiteDataError, match="with a mean above 0"):
        class_centres(image + shift, brain)
