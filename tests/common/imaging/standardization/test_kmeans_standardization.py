from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.arrays import FloatArray
from common.errors import SiteDataError
from common.imaging.standardization.brain_voxels import brain_voxels
from common.imaging.standardization.kmeans_standardization import (
    CentreMap,
    intensity_classes,
    map_to_template,
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
    np.testing.assert_allclose(intensity_classes(brain_voxels(*nine_voxels())).centres, [2, 10, 18])


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
        intensity_classes(brain_voxels(image + shift, brain))


def test_a_z_score_is_refused_whatever_its_mean_rounds_to() -> None:
    voxels = np.linspace(-1.7, 1.7, 999)
    for rounding in (-1e-7, 0.0, 1e-7, 0.05):
        with pytest.raises(SiteDataError, match="from before any z-score"):
            intensity_classes(voxels + rounding)


VOXELS = np.array([1.0, 2, 3, 9, 10, 11, 17, 18, 19])
"""Class centres 2, 10 and 18."""
TEMPLATE = np.array([0.5, 1.0, 1.25])


def test_the_piecewise_map_bends_at_the_middle_centre_and_runs_on_past_the_ends() -> None:
    # below 10: (1 - 0.5) / 8 = 1/16 a unit; above: (1.25 - 1) / 8 = 1/32
    below = [1 - 9 / 16, 0.5, 1 - 7 / 16, 1 - 1 / 16]
    above = [1 + 1 / 32, 1 + 7 / 32, 1.25, 1 + 9 / 32]
    mapped = map_to_template(VOXELS, TEMPLATE, map="piecewise")
    np.testing.assert_allclose(mapped.voxels, [*below, 1.0, *above])
    assert mapped.left_out is None


def test_the_line_is_the_least_squares_fit_through_the_three_pairs() -> None:
    # slope (-8 * 0.5 + 0 * 1 + 8 * 1.25) / (64 + 0 + 64) = 6 / 128; through (10, 2.75 / 3)
    mapped = map_to_template(VOXELS, TEMPLATE, map="line")
    np.testing.assert_allclose(mapped.voxels, 2.75 / 3 + 6 / 128 * (VOXELS - 10))
    assert mapped.left_out is None


@pytest.mark.parametrize("map", ["piecewise", "line"])
@pytest.mark.parametrize(
    ("voxels", "template", "reason"),
    [
        pytest.param(
            np.repeat([8.0, 12.0], 100),
            TEMPLATE,
            "class 1 of 3 holds 0.00% of the voxels in the brain mask, fewer than 1%",
            id="nothing near 0.3 times the mean",
        ),
        pytest.param(
            # mean 13.856, borders 6.9 and 11.1: each value is a class
            np.repeat([2.0, 10.0, 18.0], [9, 500, 491]),
            TEMPLATE,
            "class 1 of 3 holds 0.90% of the voxels",
            id="9 of 1000 voxels are dark",
        ),
        pytest.param(
            # mean 100; the border at 50 parts two centres 0.1 apart, the third is far away
            np.repeat([49.95, 50.05, 300.0], [40, 40, 20]),
            TEMPLATE,
            "two intensity classes lie 0.10% of the mean apart, less than 1%",
            id="one tissue cut in two",
        ),
        pytest.param(
            VOXELS,
            np.array([0.5, 1.0, 1.0]),
            r"template's centres [0.5, 1.0, 1.0] do not rise",
            id="a template that stands still",
        ),
    ],
)
def test_step_1_is_left_out_with_the_reason(
    voxels: np.ndarray[tuple[int], np.dtype[np.float64]],
    template: np.ndarray[tuple[int], np.dtype[np.float64]],
    reason: str,
    map: CentreMap,
) -> None:
    mapped = map_to_template(voxels, template, map=map)
    assert mapped.left_out is not None
    assert reason in mapped.left_out
    np.testing.assert_array_equal(mapped.voxels, voxels)


def test_a_class_of_one_percent_is_still_a_tissue() -> None:
    voxels = np.repeat([2.0, 10.0, 18.0], [10, 500, 490])
    assert map_to_template(voxels, TEMPLATE, map="piecewise").left_out is None
