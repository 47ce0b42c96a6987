"""A bootstrap interval for a mean difference, with subjects resampled within each site."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.arrays import FloatArray

N_RESAMPLES = 9_999
LEVEL = 0.95
TIE = 1e-12
"""Resampled means this close to the mean, relative to the largest value, are equal to it."""

Subject = Sequence[float]
"""A subject's differences, one a session, at least one."""


def bca_interval(
    strata: Sequence[Sequence[Subject]],
    *,
    seed: int,
    level: float = LEVEL,
    n_resamples: int = N_RESAMPLES,
) -> tuple[float, float] | None:
    """BCa interval of the mean over all sessions; None where no site has 2 subjects or more.

    strata   site -> its subjects -> their sessions' differences. Each resample draws as many
             subjects as a site has, with replacement and within that site; all sessions of a
             subject go together, so a mean over sessions may have another number of them

    A site with one subject is the same in every resample: the interval says nothing of what else
    could have happened there.

    Source  Efron 1987, doi:10.1080/01621459.1987.10478410; the acceleration over several strata
            from the jackknife within each, as in `scipy.stats.bootstrap`, which has no strata made
            of clusters: with one site and one session a subject this is its interval. Resamples
            that equal the mean count half.
    """
    sums = [np.array([np.sum(subject) for subject in site], float) for site in strata]
    counts = [np.array([len(subject) for subject in site], float) for site in strata]
    if max((len(site) for site in sums), default=0) < 2:
        return None
    mean = float(sum(s.sum() for s in sums) / sum(c.sum() for c in counts))
    resampled = _resampled_means(sums, counts, seed=seed, n_resamples=n_resamples)
    largest = max(abs(value) for site in strata for subject in site for value in subject)
    equal = np.abs(resampled - mean) <= TIE * largest
    share_below = float(np.mean(np.where(equal, 0.5, resampled < mean)))
    if not 0 < share_below < 1:
        return None
    low, high = _quantiles(share_below, _acceleration(sums, counts), level)
    return float(np.quantile(resampled, low)), float(np.quantile(resampled, high))


def _resampled_means(
    sums: Sequence[FloatArray], counts: Sequence[FloatArray], *, seed: int, n_resamples: int
) -> FloatArray:
    rng = np.random.default_rng(seed)
    total, n_sessions = np.zeros(n_resamples), np.zeros(n_resamples)
    for site_sums, site_counts in zip(sums, counts, strict=True):
        n_subjects = len(site_sums)
        drawn = rng.integers(0, n_subjects, (n_resamples, n_subjects))
        total += site_sums[drawn].sum(axis=1)
        n_sessions += site_counts[drawn].sum(axis=1)
    means: FloatArray = total / n_sessions
    return means


def _acceleration(sums: Sequence[FloatArray], counts: Sequence[FloatArray]) -> float:
    """How fast the standard error changes with the mean; 0 where nothing varies."""
    total, n_sessions = sum(s.sum() for s in sums), sum(c.sum() for c in counts)
    cubes, squares = 0.0, 0.0
    for site_sums, site_counts in zip(sums, counts, strict=True):
        n = len(site_sums)
        if n < 2:
            continue
        left_out = (total - site_sums) / (n_sessions - site_counts)
        influence = (n - 1) * (left_out.mean() - left_out) / n
        cubes += float(np.sum(influence**3))
        squares += float(np.sum(influence**2))
    scale = squares**1.5
    return cubes / (6 * scale) if scale > 0 else 0.0


def _quantiles(share_below: float, acceleration: float, level: float) -> tuple[float, float]:
    """Where the interval ends lie among the resampled means."""
    from scipy.special import ndtr, ndtri  # slow to import

    bias = ndtri(share_below)
    tail = ndtri((1 - level) / 2)
    low, high = (
        float(ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))) for z in (tail, -tail)
    )
    return low, high
