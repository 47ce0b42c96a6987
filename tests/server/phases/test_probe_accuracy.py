from __future__ import annotations

import numpy as np
import pytest

from common.arrays import FloatArray
from common.learning.site_discriminant import FeatureMoments, SiteDiscriminant, fit_discriminant
from server.phases.probe_accuracy import HalfSums, ProbeAccuracy, probe_accuracy

N_PATCHES = 8


def half(*shares: float) -> HalfSums:
    return HalfSums(n=len(shares), shares=sum(shares), squares=sum(s**2 for s in shares))


def test_sites_that_are_always_told_apart_give_1_and_an_interval_that_has_a_width() -> None:
    """At each of two sites 4 subjects, all right: smoothed 5 / 6, variance 5 / 36 / 8.

    Variance of the mean 2 * 5 / 288 / 2 / 2² = 5 / 1152; 6 degrees of freedom, t = 2.4469.
    """
    right = (half(1, 1), half(1, 1))
    found = probe_accuracy([right, right], n_patches=N_PATCHES)
    assert (found.accuracy, found.high, found.chance) == (1, 1, 0.5)
    assert found.low == pytest.approx(1 - 2.446912 * (5 / 1152) ** 0.5, abs=1e-6)
    assert found.low > found.chance


def test_each_half_counts_once_and_each_site_once() -> None:
    """Site a: (1 + 0.5) / 2 = 0.75, not 2.5 / 4. Site b: (0 + 0.25) / 2 = 0.125. Mean 0.4375."""
    a = (half(1), half(0, 0.5, 1))
    b = (half(0, 0), half(0.25, 0.25))
    found = probe_accuracy([a, b], n_patches=N_PATCHES)
    assert found.recalls == (0.75, 0.125)
    assert found.accuracy == 0.4375


def test_the_interval_is_students_over_subjects_with_both_halves_as_one() -> None:
    """Recalls 0.625 and 0.25, mean 0.4375.

    Variance between the subjects of a: (1.75 - 2.5² / 4) / 3 = 0.0625, of which the smaller half
    has 2; of b: 0, so that of 8 independent patches, (2 / 6) * (4 / 6) / 8 = 0.0277778, of which
    the smaller half has 1. Of the mean 0.0625 / 2 / 2² + 0.0277778 / 2² = 0.0147569; degrees of
    freedom 0.0147569² / (0.0078125² / 3 + 0.0069444² / 3) = 5.979; t = 2.4496.
    """
    a = (half(1, 0.5), half(0.5, 0.5))
    b = (half(0.25, 0.25, 0.25), half(0.25))
    found = probe_accuracy([a, b], n_patches=N_PATCHES)
    width = 2.4496 * 0.0147569**0.5
    assert found.low == pytest.approx(0.4375 - width, abs=1e-4)
    assert found.high == pytest.approx(0.4375 + width, abs=1e-4)


@pytest.mark.parametrize(
    ("n", "shares", "squares", "words"),
    [
        (2, 2.1, 2.0, "shares: want a sum from 0 to 2 subjects, got 2.1"),
        (2, -0.1, 0.0, "shares: want a sum from 0 to 2 subjects, got -0.1"),
        (2, 1.0, 0.4, "squares: want a sum from 0.5 to 1, .* got 0.4"),
        (2, 1.0, 1.1, "squares: want a sum from 0.5 to 1, .* got 1.1"),
        (0, 0.0, 0.1, "squares: want a sum from 0 to 0, .* got 0.1"),
        (2, float("nan"), 1.0, "shares: .* got nan"),
        (2, 1.0, float("nan"), "squares: .* got nan"),
    ],
)
def test_sums_that_cannot_be_of_shares_are_refused(
    n: int, shares: float, squares: float, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        HalfSums(n=n, shares=shares, squares=squares)


def probed(features: FloatArray) -> ProbeAccuracy:
    """Of features (sites, subjects, patches, F): fitted on each half, used on the other."""
    n_sites, n_subjects, *_ = features.shape
    halves = np.split(features, [n_subjects // 2], axis=1)
    fitted = [_fitted(of_half.reshape(n_sites, -1, features.shape[-1])) for of_half in halves]
    sites = []
    for site in range(n_sites):
        first, second = (
            (fitted[1 - number].attribute(of_half[site]) == site).mean(axis=1).tolist()
            for number, of_half in enumerate(halves)
        )
        sites.append((half(*first), half(*second)))
    return probe_accuracy(sites, n_patches=features.shape[2])


def _fitted(patches: FloatArray) -> SiteDiscriminant:
    means = patches.mean(axis=1)
    apart = (patches - means[:, None]).reshape(-1, patches.shape[-1])
    return fit_discriminant(
        FeatureMoments(means=means, scatter=apart.T @ apart, n_patches=len(apart))
    )


def drawn(seed: int, *, n_sites: int, n_subjects: int, n_features: int) -> FloatArray:
    """Features of sites that do not differ; half of the variance is between subjects."""
    generator = np.random.default_rng(seed)
    of_subjects = generator.normal(size=(n_sites, n_subjects, 1, n_features))
    of_patches = generator.normal(size=(n_sites, n_subjects, N_PATCHES, n_features))
    return np.asarray(of_subjects + of_patches) / 2**0.5


@pytest.mark.parametrize(
    ("n_sites", "n_subjects", "n_features"), [(2, 8, 3), (3, 4, 8), (6, 6, 32)]
)
def test_where_nothing_tells_the_sites_apart_the_interval_holds_chance_in_19_of_20(
    n_sites: int, n_subjects: int, n_features: int
) -> None:
    """200 repetitions; 3 standard deviations of a share of 0.95 are 0.046, of the mean 0.03."""
    settings = {"n_sites": n_sites, "n_subjects": n_subjects, "n_features": n_features}
    found = [probed(drawn(seed, **settings)) for seed in range(200)]
    covered = np.mean([f.low <= f.chance <= f.high for f in found])
    assert covered >= 0.95 - 0.046
    assert np.mean([f.accuracy for f in found]) == pytest.approx(1 / n_sites, abs=0.03)


def test_two_sites_that_lie_far_apart_are_always_told() -> None:
    features = drawn(0, n_sites=2, n_subjects=6, n_features=4)
    features[1] += 20.0
    found = probed(features)
    assert (found.accuracy, found.recalls) == (1.0, (1.0, 1.0))
    assert found.low > 0.8


def test_the_mean_over_sites_is_exact_where_one_site_is_named_for_all() -> None:
    """A probe that names the first of three for everything is right at one site in three."""
    always, never = (half(1, 1), half(1, 1)), (half(0, 0), half(0, 0))
    found = probe_accuracy([always, never, never], n_patches=N_PATCHES)
    assert found.accuracy == found.chance == pytest.approx(1 / 3)
