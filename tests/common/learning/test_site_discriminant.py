from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.arrays import FloatArray
from common.learning.site_discriminant import FeatureMoments, SiteDiscriminant, fit_discriminant


def moments_of(features: FloatArray) -> FeatureMoments:
    """Of features (sites, patches, F)."""
    means = features.mean(axis=1)
    apart = (features - means[:, None]).reshape(-1, features.shape[-1])
    n_patches = features.shape[0] * features.shape[1]
    return FeatureMoments(means=means, scatter=apart.T @ apart, n_patches=n_patches)


def test_one_feature_is_divided_half_way_between_the_two_means() -> None:
    """Within 32 / (10 - 2) = 4; total 4 + 2² = 8; shrunk 0.9 * 4 / 8 + 0.1 = 0.55.

    Weights -+ 2 / 8 / 0.55; the scores are equal at the middle, 1.
    """
    fitted = fit_discriminant(
        FeatureMoments(means=np.array([[-1.0], [3.0]]), scatter=np.array([[32.0]]), n_patches=10)
    )
    np.testing.assert_allclose(fitted.weights, [[-2 / 8 / 0.55], [2 / 8 / 0.55]])
    assert fitted.attribute(np.array([[0.99], [1.01], [-9], [9]])).tolist() == [0, 1, 0, 1]


def test_two_features_that_vary_together_are_told_apart_across_that_direction() -> None:
    """The first feature alone does not tell: within each site it varies four times as widely.

    Site 1 lies one above site 0 in the second minus the first, which is constant within a site.
    """
    along = np.linspace(-4, 4, 9)[None, :, None] * np.ones((2, 1, 2))
    features = along + np.array([[0.0, 0.0], [0.0, 1.0]])[:, None]
    fitted = fit_discriminant(moments_of(features))
    np.testing.assert_array_equal(fitted.attribute(features), [[0] * 9, [1] * 9])


def test_sites_that_differ_only_where_no_site_varies_are_told_apart() -> None:
    """The covariance within sites is 0 in all but the first feature: it has no inverse."""
    generator = np.random.default_rng(0)
    features = np.zeros((3, 6, 4))
    features[..., 0] = generator.normal(size=(3, 6))
    features[..., 2] = np.array([0.5, -1.0, 0.25])[:, None]
    fitted = fit_discriminant(moments_of(features))
    np.testing.assert_array_equal(fitted.attribute(features), [[k] * 6 for k in range(3)])


def test_features_that_are_the_same_everywhere_name_the_first_site_always() -> None:
    features = np.full((3, 5, 4), 0.1)
    fitted = fit_discriminant(moments_of(features))
    np.testing.assert_array_equal(fitted.weights, np.zeros((3, 4)))
    np.testing.assert_array_equal(fitted.attribute(features), np.zeros((3, 5)))


@pytest.mark.parametrize("size", [1e-170, 1e-20])
def test_features_of_almost_nothing_give_finite_scores(size: float) -> None:
    features = size * np.random.default_rng(1).normal(size=(2, 6, 3))
    fitted = fit_discriminant(moments_of(features))
    assert np.isfinite(fitted.weights).all()
    assert np.isfinite(fitted.offsets).all()


@given(
    scale=st.lists(st.floats(0.01, 100), min_size=3, max_size=3),
    shift=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
    seed=st.integers(0, 50),
)
def test_the_units_of_the_features_do_not_matter(
    scale: list[float], shift: list[float], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(2, 8, 3)) + np.array([[0, 0, 1.0], [0, 0.5, 0]])[:, None]
    moved = features * np.array(scale) + np.array(shift)
    here, there = fit_discriminant(moments_of(features)), fit_discriminant(moments_of(moved))
    np.testing.assert_allclose(margins(there, moved), margins(here, features), rtol=1e-6, atol=1e-6)


def margins(fitted: SiteDiscriminant, features: FloatArray) -> FloatArray:
    """The first site's score minus the second's."""
    scores = features @ fitted.weights.T + fitted.offsets
    return np.asarray(scores[..., 0] - scores[..., 1])
