"""A held-out site in figures: averages over its cases, and what is only defined for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from common.metrics.cohort import (
    FalseDetections,
    IsbiScore,
    PatientLevel,
    false_detections,
    isbi_score,
    patient_level,
)
from common.metrics.volume_agreement import VolumeAgreement, volume_agreement
from server.evaluation.case_row import CaseRow

LOST = "n_lesions_lost_by_resampling"
"""Reference lesions that are not in the prepared reference; known on the scanner's grid alone."""

VOXEL_COUNTS = ("tp_voxels", "fp_voxels", "fn_voxels")
"""Columns that are only pooled, never averaged."""

LOWER_IS_BETTER = frozenset(
    {"hausdorff_mm", "hd95_mm", "contour_mean_distance_mm", "assd_mm", "lfpr"}
)
"""Metrics whose largest mean is the worst; of the others it is the smallest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """One metric over the n cases that define it; all None when n is 0.

    q1, q3      quartiles, linear between neighbouring values (numpy's default, type 7 of Hyndman
                and Fan 1996)
    low, high   smallest and largest value
    """

    n: int
    mean: float | None
    median: float | None
    q1: float | None
    q3: float | None
    low: float | None
    high: float | None


NOTHING = Spread(n=0, mean=None, median=None, q1=None, q3=None, low=None, high=None)


def spread(values: Sequence[float]) -> Spread:
    """Mean, quartiles and ends of `values`; NOTHING without one."""
    if not values:
        return NOTHING
    low, q1, median, q3, high = (float(q) for q in np.quantile(values, (0, 0.25, 0.5, 0.75, 1)))
    mean = float(np.mean(values))
    return Spread(n=len(values), mean=mean, median=median, q1=q1, q3=q3, low=low, high=high)


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteSummary:
    """One held-out site. Undefined values are in no average.

    n_planned     every case of the site, scored or not: the denominator to show
    n_scored      those that have metrics
    n_on_scanner_grid   of these, those scored where their lesions were drawn; the others on the
                  grid of the prepared images
    n_lost_lesions   reference lesions that the resampling to that grid lost; None without such a
                  case
    failed        (case, reason) of the others
    metrics       name -> spread over the scored cases that define it
    pooled_dice   Dice of all scored cases' voxels taken together, lesion-free ones too: large
                  lesion loads weigh more than in the mean over cases. None where the reference is
                  empty throughout or a case lacks its voxel counts
    """

    site: str
    n_planned: int
    n_scored: int
    n_on_scanner_grid: int
    n_lost_lesions: int | None
    failed: tuple[tuple[str, str], ...]
    metrics: Mapping[str, Spread]
    pooled_dice: float | None
    agreement: VolumeAgreement
    patient_level: PatientLevel
    false_detections: FalseDetections
    isbi: IsbiScore

    def metric(self, name: str) -> Spread:
        """The spread of one metric; NOTHING where no case has it."""
        return self.metrics.get(name, NOTHING)

    def as_dict(self) -> dict[str, Any]:
        """All figures, nested, ready for JSON; undefined is None. The points are in the cases."""
        limits = self.agreement.limits_ml
        return {
            "site": self.site,
            "n_planned": self.n_planned,
            "n_scored": self.n_scored,
            "n_on_scanner_grid": self.n_on_scanner_grid,
            "n_lost_lesions": self.n_lost_lesions,
            "failed": [{"case": case, "reason": reason} for case, reason in self.failed],
            "metrics": {name: asdict(figures) for name, figures in self.metrics.items()},
            "pooled_dice": self.pooled_dice,
            "volume_agreement": {
                "n": self.agreement.n,
                "bias_ml": self.agreement.bias_ml,
                "low_ml": None if limits is None else limits[0],
                "high_ml": None if limits is None else limits[1],
            },
            "patient_level": {
                "sensitivity": self.patient_level.sensitivity,
                "n_bearing": self.patient_level.n_bearing,
                "specificity": self.patient_level.specificity,
                "n_free": self.patient_level.n_free,
            },
            "false_detections": asdict(self.false_detections),
            "isbi": {"score": self.isbi.score, **asdict(self.isbi)},
        }


def summarize_sites(rows: Iterable[CaseRow]) -> list[SiteSummary]:
    """One summary a site, in the order in which sites first appear."""
    by_site: dict[str, list[CaseRow]] = {}
    for row in rows:
        by_site.setdefault(row.site, []).append(row)
    return [summarize_site(of_site) for of_site in by_site.values()]


def summarize_site(rows: Sequence[CaseRow]) -> SiteSummary:
    """The summary of one site from its rows, at least one."""
    [site] = {row.site for row in rows}
    scored = [row for row in rows if row.failed is None]
    n_on_scanner_grid = sum(row.grid == "scanner" for row in scored)
    names = dict.fromkeys(name for row in scored for name in row.metrics)
    return SiteSummary(
        site=site,
        n_planned=len(rows),
        n_scored=len(scored),
        n_on_scanner_grid=n_on_scanner_grid,
        n_lost_lesions=round(sum(defined(scored, LOST))) if n_on_scanner_grid else None,
        failed=tuple((row.name, row.failed) for row in rows if row.failed is not None),
        metrics={name: spread(defined(scored, name)) for name in names if name not in VOXEL_COUNTS},
        pooled_dice=_pooled_dice(scored),
        agreement=volume_agreement((row.name, row.metrics) for row in scored),
        patient_level=patient_level(row.metrics for row in scored),
        false_detections=false_detections(row.metrics for row in scored),
        isbi=isbi_score([row.metrics for row in scored]),
    )


def defined(rows: Iterable[CaseRow], metric: str) -> list[float]:
    """The metric's values in the rows that define it."""
    values = (row.metric(metric) for row in rows)
    return [float(value) for value in values if value is not None]


def worst_site(summaries: Iterable[SiteSummary], metric: str = "dice") -> SiteSummary | None:
    """The site with the worst mean of `metric`; None unless two differ.

    A site none of whose cases defines the metric cannot be ranked and is passed over.
    """
    sign = -1 if metric in LOWER_IS_BETTER else 1
    means = [(summary.metric(metric).mean, summary) for summary in summaries]
    ranked = [(sign * mean, summary) for mean, summary in means if mean is not None]
    if len({mean for mean, _ in ranked}) < 2:
        return None
    return min(ranked, key=lambda pair: pair[0])[1]


def as_rows(summaries: Iterable[SiteSummary]) -> list[dict[str, Any]]:
    """One flat row a site, as in sites.csv: `dice_mean`, `volume_agreement_bias_ml`, ..."""
    return [_flat_row(summary) for summary in summaries]


def _flat_row(summary: SiteSummary) -> dict[str, Any]:
    row = summary.as_dict()
    metrics = row.pop("metrics")
    n_failed = len(row.pop("failed"))
    place = {name: row.pop(name) for name in ("site", "n_planned", "n_scored")}
    on_grid = {name: row.pop(name) for name in ("n_on_scanner_grid", "n_lost_lesions")}
    groups = {**metrics, **{name: row.pop(name) for name in list(row) if name != "pooled_dice"}}
    return {
        **place,
        "n_failed": n_failed,
        **on_grid,
        **row,
        **{
            f"{name}_{part}": value
            for name, parts in groups.items()
            for part, value in parts.items()
        },
    }


def _pooled_dice(scored: Sequence[CaseRow]) -> float | None:
    columns = [defined(scored, name) for name in VOXEL_COUNTS]
    if any(len(column) < len(scored) for column in columns):
        return None
    tp, fp, fn = (sum(column) for column in columns)  # not whole where rows are means of others
    return 2 * tp / (2 * tp + fp + fn) if tp + fn else None
