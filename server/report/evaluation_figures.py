"""Every figure of the unseen sites' verdict, drawn from the tables of an evaluation."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from common.figures.bland_altman import BlandAltman
from common.figures.froc_chart import FrocChart
from common.figures.matrix import Matrix, MatrixRow
from common.figures.paired_differences import MetricDifference, PairedCase, PairedDifferences
from common.figures.precision_recall_chart import PrecisionRecallChart
from common.figures.raincloud import Raincloud, SiteCases
from common.figures.reliability_chart import ReliabilityChart
from common.figures.size_chart import SizeChart
from common.figures.threshold_chart import ThresholdChart, ThresholdLine
from common.metrics.operating_curves import (
    expected_calibration_error,
    froc,
    precision_recall,
    reliability,
    suspected_calibration_error,
)
from common.metrics.probability_counts import ProbabilityCounts, no_probabilities
from common.metrics.size_classes import SizeClass, by_size
from common.metrics.threshold_choice import ThresholdChoice, sum_cases
from common.metrics.threshold_sweep import ThresholdCounts
from common.metrics.volume_agreement import volume_agreement
from common.recipe.task_labels import TaskLabels
from server.compare.bca import LEVEL
from server.compare.cases import RunCases, on_one_grid, shared_cases
from server.compare.paired import Comparison, compare
from server.evaluation.case_row import CaseRow
from server.evaluation.evaluation_folder import Case, EvaluationFolder
from server.evaluation.site_summary import summarize_sites, worst_site

T = TypeVar("T")
ALL = "all unseen sites"
SHARED_METRICS = ("dice", "lesion_f1", "lesion_sensitivity", "lesion_ppv")
"""Metrics without a unit in which network and intensity threshold are set side by side."""


class ReportDrawing(Protocol):
    """What every chart offers."""

    @property
    def title(self) -> str: ...
    @property
    def is_empty(self) -> bool: ...
    def svg(self) -> str: ...
    def in_words(self) -> str: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationTables:
    """One evaluation, read once for all of its figures.

    cases, baseline   the rows of the network and of the intensity threshold
    sweeps, sizes, probabilities   by case; lesions by size class over all cases
    threshold         the decision threshold in use
    """

    cases: Sequence[CaseRow]
    baseline: Sequence[CaseRow]
    sizes: Sequence[SizeClass]
    sweeps: Mapping[Case, Sequence[ThresholdCounts]]
    probabilities: Mapping[Case, ProbabilityCounts]
    threshold: float | None

    @property
    def sites(self) -> list[str]:
        """The judged sites, in the order of the table."""
        return list(dict.fromkeys(row.site for row in self.cases))

    def comparison(self, threshold_name: str) -> Comparison | None:
        """The network against the threshold; None where either scored nothing, or other cases, or
        a case on another grid.

        threshold_name   such as "FLAIR threshold"
        """
        if not self.baseline or {_key(r) for r in self.baseline} != {_key(r) for r in self.cases}:
            return None
        thresholded = _by_key(self.baseline)
        if not all(on_one_grid(row, thresholded[_key(row)]) for row in self.cases):
            return None
        known = {name for row in (*self.cases, *self.baseline) for name in row.metrics}
        if not known.issuperset(SHARED_METRICS):
            return None
        runs = [RunCases(threshold_name, thresholded)]
        runs.append(RunCases("network", _by_key(self.cases)))
        return compare(shared_cases(runs, common_only=False), metrics=SHARED_METRICS)


def read_evaluation(folder: EvaluationFolder) -> EvaluationTables | None:
    """The tables in `folder`; None before the verdict, RunFolderError where one is damaged."""
    if not folder.cases_file.exists():
        return None
    lesions = folder.lesions()
    return EvaluationTables(
        cases=folder.cases(),
        baseline=folder.baseline(),
        sizes=by_size(row for of_case in lesions.values() for row in of_case),
        sweeps=folder.sweeps(),
        probabilities=folder.probabilities(),
        threshold=folder.threshold(),
    )


def evaluation_drawings(
    judged: EvaluationTables,
    choice: ThresholdChoice | None,
    comparison: Comparison | None,
    *,
    words: TaskLabels,
) -> dict[str, ReportDrawing]:
    """File stem -> chart, in reading order; a chart without anything to show is left out.

    choice   the sweep on training sites that the threshold comes from, if one was made
    words    how what was segmented is called
    """
    drawings: dict[str, ReportDrawing] = {
        "dice-by-site": cases_by_site(judged.cases, "dice", title="Dice by site"),
        "lesion-f1-by-site": cases_by_site(judged.cases, "lesion_f1", title="Lesion F1 by site"),
        "lesion-size": SizeChart(
            title=f"{words.lesions.capitalize()} found and confirmed, by size", classes=judged.sizes
        ),
        "froc": FrocChart(
            title="FROC",
            series={name: froc(sweeps) for name, sweeps in _by_site(judged.sweeps).items()},
            threshold=judged.threshold,
        ),
        "precision-recall": PrecisionRecallChart(
            title="Precision and recall, voxel by voxel",
            series={
                name: precision_recall(_pooled(counts))
                for name, counts in _by_site(judged.probabilities).items()
            },
            threshold=judged.threshold,
        ),
        "threshold": _threshold_chart(judged, choice),
        "reliability": _reliability_chart(judged, words.region),
        "volume-agreement": _bland_altman(judged),
    }
    if comparison is not None:
        drawings["network-minus-threshold"] = _differences(comparison, words.threshold)
    return {stem: chart for stem, chart in drawings.items() if not chart.is_empty}


def where_tested(rows: Mapping[str, Mapping[str, float | None]], own: Iterable[str]) -> Matrix:
    """Mean Dice of each method at every site that was scored.

    rows   method -> site -> mean Dice
    own    sites that took part in the training: scored on the cases they kept from it
    """
    columns = tuple(dict.fromkeys(site for of_method in rows.values() for site in of_method))
    trained = frozenset(own) & frozenset(columns)
    return Matrix(
        title="Where it was tested",
        metric="mean Dice",
        columns=columns,
        rows=[
            MatrixRow(
                label=method,
                group="this run",
                values=tuple(of_method.get(site) for site in columns),
                own=trained,
            )
            for method, of_method in rows.items()
        ],
    )


def metric_name(column: str) -> str:
    """A column of cases.csv as it is shown to a reader, such as lesion F1."""
    words = {"dice": "Dice", "f1": "F1", "ppv": "PPV", "hd95": "HD95", "assd": "ASSD", "mm": "(mm)"}
    return " ".join(words.get(word, word) for word in column.split("_"))


def cases_by_site(rows: Sequence[CaseRow], metric: str, *, title: str) -> Raincloud:
    """A metric between 0 and 1 of every case, site by site."""
    summaries = summarize_sites(rows)
    worst = worst_site(summaries, metric)
    return Raincloud(
        title=title,
        metric=metric_name(metric),
        sites=[
            SiteCases(
                site=summary.site,
                n_planned=summary.n_planned,
                cases=tuple(
                    (row.name, float(value))
                    for row in rows
                    if row.site == summary.site and (value := row.metric(metric)) is not None
                ),
            )
            for summary in summaries
        ],
        worst_site=None if worst is None else worst.site,
        value_range=(0.0, 1.0),
    )


def _threshold_chart(judged: EvaluationTables, choice: ThresholdChoice | None) -> ThresholdChart:
    """The sweep that chose, where one did, beside the unseen sites' own, which chose nothing."""
    lines = []
    thresholds: tuple[float, ...] = choice.thresholds if choice else ()
    if choice is not None:
        lines.append(ThresholdLine(label="Dice, cases kept back", values=choice.mean_dice))
        lines.append(
            ThresholdLine(label="lesion F1, cases kept back", values=choice.mean_lesion_f1)
        )
    sweeps = list(judged.sweeps.values())
    swept = tuple(at.threshold for at in sweeps[0]) if sweeps else ()
    if sweeps and (not thresholds or swept == thresholds):
        thresholds = swept
        sums = sum_cases(sweeps, thresholds)
        for name, means in (("Dice", sums.means("dice")), ("lesion F1", sums.means("lesion_f1"))):
            if means is not None:
                lines.append(ThresholdLine(label=f"{name}, unseen (not used)", values=means))
    return ThresholdChart(
        title="Decision threshold",
        thresholds=thresholds,
        lines=lines,
        chosen=judged.threshold,
    )


def _reliability_chart(judged: EvaluationTables, region: str) -> ReliabilityChart:
    counts = _pooled(list(judged.probabilities.values()))
    return ReliabilityChart(
        title="Reliability of the probabilities",
        bins=reliability(counts),
        error=expected_calibration_error(counts),
        suspected_error=suspected_calibration_error(counts),
        region=region,
    )


def _bland_altman(judged: EvaluationTables) -> BlandAltman:
    scored = [row for row in judged.cases if row.failed is None]
    agreement = volume_agreement((row.name, row.metrics) for row in scored)
    return BlandAltman(
        title="Agreement of lesion volumes",
        sites={
            site: volume_agreement((r.name, r.metrics) for r in scored if r.site == site).points
            for site in judged.sites
        },
        bias_ml=agreement.bias_ml,
        limits_ml=agreement.limits_ml,
    )


def _differences(comparison: Comparison, threshold_name: str) -> PairedDifferences:
    return PairedDifferences(
        title=f"Network against {threshold_name}, case by case",
        first="network",
        second=threshold_name,
        interval=f"{LEVEL:.0%} BCa interval",
        metrics=[
            MetricDifference(
                metric=metric_name(line.metric),
                cases=[
                    PairedCase(site=pair.site, case=pair.name, difference=pair.difference)
                    for pair in line.pairs
                ],
                mean=line.mean_difference,
                interval=line.interval,
            )
            for line in comparison.metrics
        ],
    )


def _by_site(by_case: Mapping[Case, T]) -> dict[str, list[T]]:
    """Site -> its cases' entries; with several sites, all of them together as well."""
    sites: dict[str, list[T]] = {}
    for (site, _), entry in by_case.items():
        sites.setdefault(site, []).append(entry)
    return sites if len(sites) < 2 else {**sites, ALL: list(by_case.values())}


def _pooled(counts: Sequence[ProbabilityCounts]) -> ProbabilityCounts:
    return functools.reduce(operator.add, counts, no_probabilities())


def _key(row: CaseRow) -> tuple[str, str, str | None]:
    return row.site, row.subject, row.session


def _by_key(rows: Iterable[CaseRow]) -> dict[tuple[str, str, str | None], CaseRow]:
    return {_key(row): row for row in rows}
