"""Figures of a set of cases: by scan, of false detections, and the ISBI 2015 score.

A case is the mapping `CaseScore.metrics()` gives, None where a metric is undefined. A case that
could not be scored must be left out and counted elsewhere.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Value = float | int | None
"""A metric; None is undefined."""

Case = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientLevel:
    """Scans by whether anything was predicted in them; None where there is no such scan.

    n_bearing     scans with a lesion        n_bearing_found   those with a predicted lesion
    n_free        scans without a lesion     n_free_clean      those without a predicted lesion
    """

    n_bearing: int
    n_bearing_found: int
    n_free: int
    n_free_clean: int

    @property
    def sensitivity(self) -> float | None:
        """P-sensitivity: share of lesion-bearing scans with at least one predicted lesion."""
        return self.n_bearing_found / self.n_bearing if self.n_bearing else None

    @property
    def specificity(self) -> float | None:
        """P-specificity: share of lesion-free scans without a predicted lesion."""
        return self.n_free_clean / self.n_free if self.n_free else None


def patient_level(cases: Iterable[Case]) -> PatientLevel:
    """P-sensitivity and P-specificity, with the scans they are made of.

    A predicted lesion counts wherever it lies: the question is whether the scan is called positive.

    Source  Hussein et al. 2023, who do not define the two further. Chosen: a lesion is what the
            preset calls one, in reference and prediction alike, so a scan whose reference holds
            only components that are too small is lesion-free, as is one with an empty reference.
    """
    bearing = [0, 0]
    free = [0, 0]
    for case in cases:
        found = _count(case, "n_predicted_lesions") > 0
        (bearing if _count(case, "n_reference_lesions") > 0 else free)[found] += 1
    return PatientLevel(
        n_bearing=sum(bearing),
        n_bearing_found=bearing[True],
        n_free=sum(free),
        n_free_clean=free[0],
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseDetections:
    """What was predicted where there was nothing to find; the means are None without such a case.

    n           cases whose reference is empty
    n_perfect   those in which nothing was predicted
    """

    n: int
    n_perfect: int
    mean_count: float | None
    mean_volume_mm3: float | None


def false_detections(cases: Iterable[Case]) -> FalseDetections:
    """Count and volume of the lesions predicted in cases whose reference is empty, averaged.

    These cases have no lesion F1, so no case is both here and in a mean F1. One whose reference
    holds only components that are too small is not here: the challenge's tool gives it a lesion F1
    (of 0), and it stays there.

    Source  Commowick et al. 2021, MSSEG-2: patients without new lesions are judged by these two
            means and apart from the others.
    """
    empty = [case for case in cases if case.get("n_reference_lesions") is None]
    counts = [_count(case, "n_predicted_lesions") for case in empty]
    volumes = [case.get("predicted_volume_mm3") or 0.0 for case in empty]
    return FalseDetections(
        n=len(empty),
        n_perfect=counts.count(0),
        mean_count=_mean(counts),
        mean_volume_mm3=_mean(volumes),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class IsbiScore:
    """The components of the ISBI 2015 score over a set, each None where no case defines it.

    volume_correlation   Pearson's, between reference and predicted lesion volume
    n                    cases in the set
    """

    n: int
    dice: float | None
    ppv: float | None
    lfpr: float | None
    ltpr: float | None
    volume_correlation: float | None

    @property
    def score(self) -> float | None:
        """Dice/8 + PPV/8 + (1 - LFPR)/4 + LTPR/4 + Corr/4; None when a component is undefined."""
        dice, ppv, corr = self.dice, self.ppv, self.volume_correlation
        if dice is None or ppv is None or self.lfpr is None or self.ltpr is None or corr is None:
            return None
        return dice / 8 + ppv / 8 + (1 - self.lfpr) / 4 + self.ltpr / 4 + corr / 4


def isbi_score(cases: Sequence[Case]) -> IsbiScore:
    """The ISBI 2015 components over the cases: means, and the correlation of lesion volumes.

    A case in which a component is undefined is left out of that component's mean and stays in the
    others: the PPV of an empty prediction, say, whose Dice of 0 counts. The volume of an empty
    reference is 0, so every case is in the correlation; it is undefined below 2 cases and where
    either volume is the same in all of them.

    Source  Carass et al. 2017, doi:10.1016/j.neuroimage.2016.12.064. The paper's figures are those
            of cases scored with the preset `isbi2015`; how undefined values are treated is chosen.
    """
    means = {name: _mean(_defined(cases, name)) for name in ("dice", "ppv", "lfpr", "ltpr")}
    return IsbiScore(
        n=len(cases),
        volume_correlation=_correlation(
            [case.get("reference_volume_mm3") or 0.0 for case in cases],
            [case.get("predicted_volume_mm3") or 0.0 for case in cases],
        ),
        **means,
    )


def _count(case: Case, name: str) -> float:
    return case.get(name) or 0


def _defined(cases: Iterable[Case], name: str) -> list[float]:
    values = (case.get(name) for case in cases)
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    try:
        return statistics.correlation(a, b)
    except statistics.StatisticsError:  # below 2 cases, or one side is constant
        return None
