"""Paired differences: Wilcoxon's signed-rank test, its effect size, Holm's correction of many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.arrays import FloatArray

DIGITS = 12
"""Differences are rounded to so many decimals, so that 0.5 - 0.4 and 0.3 - 0.2 are a tie."""


def signed_rank_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test; None without a difference to test.

    Zeros are left out before ranking, as Wilcoxon did; where all are zero p is 1. Exact up to 50
    differences without ties and up to 13 with ties, else the normal approximation with its variance
    corrected for ties, all as `scipy.stats.wilcoxon` does.

    Source  Wilcoxon 1945, doi:10.2307/3001968.
    """
    if not differences:
        return None
    nonzero = _nonzero(differences)
    if len(nonzero) == 0:
        return 1.0
    from scipy.stats import wilcoxon  # slow to import

    return float(wilcoxon(nonzero, method="auto").pvalue)


def rank_biserial(differences: Sequence[float]) -> float | None:
    """Matched-pairs rank-biserial correlation: (R+ - R-) / (R+ + R-), from -1 to 1.

    R+ and R- are the sums of the ranks of |difference| over the differences above and below 0;
    zeros are left out, ties share their mean rank. 1: every difference is above 0. None where no
    difference is left.

    Source  Kerby 2014, doi:10.2466/11.IT.3.1, the simple difference formula.
    """
    nonzero = _nonzero(differences)
    if len(nonzero) == 0:
        return None
    from scipy.stats import rankdata  # slow to import

    ranks = rankdata(np.abs(nonzero))
    return float(np.sum(np.sign(nonzero) * ranks) / np.sum(ranks))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Each p after Holm's correction for all that are defined; None stays None.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none is smaller than the one
    before it or above 1.

    Source  Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    ranked = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for n_before, (p, index) in enumerate(ranked):
        largest = max(largest, min(1.0, p * (len(ranked) - n_before)))
        corrected[index] = largest
    return corrected


def _nonzero(differences: Sequence[float]) -> FloatArray:
    rounded = np.round(np.array(differences, dtype=np.float64), DIGITS)
    nonzero: FloatArray = rounded[rounded != 0]
    return nonzero
