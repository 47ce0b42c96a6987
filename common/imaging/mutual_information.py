"""How well the values of one image predict those of another on the same grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.arrays import FloatArray, IntArray


def mutual_information(joint: FloatArray) -> float:
    """H(a) + H(b) - H(a, b) in nats, 0 or above, of a joint distribution, (a, b)."""
    return max(entropy(joint.sum(1)) + entropy(joint.sum(0)) - entropy(joint), 0.0)


def joint_histogram(a: NDArray[Any], b: NDArray[Any], *, n_bins: int) -> FloatArray:
    """Share of the pairs in each bin of `a` and `b`, (n_bins, n_bins), sum 1.

    a, b   (n,) values, n at least 1; bins of equal width from the lowest to the highest of each
    """
    cell = _bin(a, n_bins) * n_bins + _bin(b, n_bins)
    counts = np.bincount(cell, minlength=n_bins * n_bins)
    return (counts / len(cell)).reshape(n_bins, n_bins)


def entropy(shares: FloatArray) -> float:
    """-sum p ln p in nats, where 0 ln 0 is 0."""
    present = shares[shares > 0]
    return -float(np.sum(present * np.log(present)))


def _bin(values: NDArray[Any], n_bins: int) -> IntArray:
    """Number of the bin of each value; the highest value falls into the last, one value into 0."""
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    if high == low:
        return np.zeros(len(values), np.int64)
    bins: IntArray = ((values - low) / (high - low) * n_bins).astype(np.int64)
    return np.minimum(bins, n_bins - 1)
