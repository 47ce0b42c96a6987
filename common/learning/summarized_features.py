"""Mean and variance of latent features: what is known of a site's images at other places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import ValidationError

from common.arrays import Float32Array, FloatArray
from common.wire.feature_summary import FeatureSummary
from common.wire.field_types import MOST_VARIANCE

FLOOR_SHARE = 1e-3
"""Of the features' mean variance, added to each: no feature counts without limit (chosen)."""


def summary_of(features: Float32Array) -> FeatureSummary | None:
    """Mean and variance of each feature, in float64; None where one is too large to be sent.

    features   (n, F), of n patches
    """
    if not np.isfinite(features).all():
        return None
    values = features.astype(np.float64)
    try:
        return FeatureSummary(
            mean=tuple(values.mean(axis=0).tolist()),
            variance=tuple(values.var(axis=0).tolist()),
        )
    except ValidationError:  # a network that diverges: its training says so
        return None


def pooled_summary(summaries: Sequence[FeatureSummary]) -> FeatureSummary:
    """Of all sites' features together, each site counting alike, whatever its number of patches.

    The variance is the mean of the variances within the sites plus the variance between their
    means; at most what a message may hold. Chosen: equal sites, as the head learns them.
    """
    means = np.array([summary.mean for summary in summaries])
    within = np.array([summary.variance for summary in summaries]).mean(axis=0)
    return FeatureSummary(
        mean=tuple(means.mean(axis=0).tolist()),
        variance=tuple(np.minimum(within + means.var(axis=0), MOST_VARIANCE).tolist()),
    )


def steady_variance(summary: FeatureSummary) -> FloatArray:
    """Each feature's variance plus a thousandth of their mean, above 0: what may be divided by."""
    variance = np.array(summary.variance)
    steady: FloatArray = variance + FLOOR_SHARE * variance.mean() + np.finfo(np.float32).tiny
    return steady
