"""How often a probe names the right site: balanced accuracy over sites, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class HalfSums:
    """Over the subjects of one half of a site: which share of their patches was named right.

    n         subjects
    shares    sum of the shares, 0 to n
    squares   sum of their squares
    """

    n: int
    shares: float
    squares: float

    def __post_init__(self) -> None:
        slack = 1e-9 * max(self.n, 1)
        if not 0 <= self.shares <= self.n + slack:
            raise ValueError(f"shares: want a sum from 0 to {self.n} subjects, got {self.shares!r}")
        least = 0.0 if self.n == 0 else self.shares**2 / self.n
        if not least - slack <= self.squares <= self.shares + slack:
            raise ValueError(
                f"squares: want a sum from {least:g} to {self.shares:g}, for each share is from 0 "
                f"to 1, got {self.squares!r}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeAccuracy:
    """Mean over sites of the share of patches that are named right.

    recalls     each site's share
    low, high   the 95 % interval of the accuracy
    chance      of a probe that knows nothing: one over the number of sites
    """

    accuracy: float
    low: float
    high: float
    chance: float
    recalls: tuple[float, ...]


def probe_accuracy(sites: Sequence[tuple[HalfSums, HalfSums]], *, n_patches: int) -> ProbeAccuracy:
    """The accuracy of two discriminants, each on the half that it was not fitted on.

    sites       of each site its two halves, each with a subject; at least two sites
    n_patches   patches of a subject, at the least

    A site's recall is the mean of its two halves': so each discriminant weighs the same at every
    site, and where nothing tells the sites apart the expected accuracy is exactly one over their
    number, whatever the discriminants are.

    The interval is Student's, over subjects, who are the independent part of the data: patches of
    one subject are alike. Two points are chosen, both on the side of a wider interval.
    The two halves count as one: they err together, for the first half's means lie by chance where
    the second's do or not, and that decides on both accuracies. And the variance between a site's
    subjects is at least that of as many independent patches, at the site's recall with one subject
    more who is named right and one who is not: so a site whose few subjects are all named right
    does not prove that all are.
    """
    recalls, variances, freedoms = [], [], []
    for halves in sites:
        first, second = halves
        n = first.n + second.n
        total = first.shares + second.shares
        between = max(0.0, first.squares + second.squares - total**2 / n) / (n - 1)
        smoothed = (total + 1) / (n + 2)
        variance = max(between, smoothed * (1 - smoothed) / n_patches)
        recalls.append((first.shares / first.n + second.shares / second.n) / 2)
        variances.append(variance / min(first.n, second.n) / len(sites) ** 2)
        freedoms.append(n - 1)
    accuracy = math.fsum(recalls) / len(sites)
    half = _quantile(variances, freedoms) * math.sqrt(math.fsum(variances))
    return ProbeAccuracy(
        accuracy=accuracy,
        low=max(0.0, accuracy - half),
        high=min(1.0, accuracy + half),
        chance=1 / len(sites),
        recalls=tuple(recalls),
    )


def _quantile(variances: Sequence[float], freedoms: Sequence[int]) -> float:
    """Student's, with the degrees of freedom of Welch (1947) and Satterthwaite (1946)."""
    from scipy.special import stdtrit  # slow to import

    spread = math.fsum(v**2 / n for v, n in zip(variances, freedoms, strict=True))
    return float(stdtrit(math.fsum(variances) ** 2 / spread, (1 + LEVEL) / 2))
