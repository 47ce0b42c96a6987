from __future__ import annotations

import numpy as np
import pytest

from common.learning.summarized_features import pooled_summary, steady_variance, summary_of
from common.wire.feature_summary import FeatureSummary
from common.wire.field_types import MOST_VARIANCE


def test_mean_and_variance_are_over_the_patches() -> None:
    found = summary_of(np.array([[1, -2], [3, -2], [5, 7]], np.float32))
    # means 3, 1; deviations (-2, 0, 2) and (-3, -3, 6)
    assert found == FeatureSummary(mean=(3, 1), variance=(8 / 3, 18))


@pytest.mark.parametrize("value", [np.nan, np.inf, 2e6])
def test_features_beyond_all_measure_have_no_summary(value: float) -> None:
    assert summary_of(np.array([[1], [value]], np.float32)) is None


def test_the_pooled_variance_has_the_part_between_the_sites() -> None:
    sites = [FeatureSummary(mean=(m,), variance=(v,)) for m, v in ((1, 2), (-5, 4))]
    # mean -2; within (2 + 4) / 2, between ((3)^2 + (-3)^2) / 2
    assert pooled_summary(sites) == FeatureSummary(mean=(-2,), variance=(12,))


def test_pooled_equals_the_summary_of_all_patches_where_sites_have_equally_many() -> None:
    patches = np.random.default_rng(3).normal(2, 3, (2, 50, 4)).astype(np.float32)
    patches[1] -= 4
    parts = [summary_of(patches[0]), summary_of(patches[1])]
    pooled, whole = pooled_summary([p for p in parts if p]), summary_of(np.concatenate(patches))
    assert whole is not None
    np.testing.assert_allclose(pooled.mean, whole.mean, rtol=1e-6)
    np.testing.assert_allclose(pooled.variance, whole.variance, rtol=1e-6)


def test_extreme_summaries_of_two_sites_still_pool() -> None:
    sites = [FeatureSummary(mean=(m,), variance=(MOST_VARIANCE,)) for m in (-1e6, 1e6)]
    assert pooled_summary(sites).variance == (MOST_VARIANCE,)


def test_a_steady_variance_is_above_0_and_leaves_large_ones_nearly_alone() -> None:
    found = steady_variance(FeatureSummary(mean=(0, 0), variance=(0, 4)))
    # the mean is 2, and a thousandth of it 0.002
    np.testing.assert_allclose(found, [0.002, 4.002])
    assert steady_variance(FeatureSummary(mean=(0,), variance=(0,)))[0] > 0
