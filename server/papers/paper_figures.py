"""A paper's own figures, from our runs: curves by method, thresholds by loss, lesions by part."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.figures.curves import Chart, Curve
from common.figures.intervals import IntervalChart
from common.figures.parts_chart import PartOfSite, PartsChart
from common.figures.threshold_boxes import MethodBoxes, ThresholdBoxes
from server.evaluation.case_row import CaseRow
from server.events.history import RunHistory
from server.papers.evaluated_run import EvaluatedRun
from server.papers.published import Paper

UNSEEN = "unseen"


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperFigure:
    """One figure. name: of its file, without the ending; caption: what the reader looks at."""

    name: str
    caption: str
    drawing: Chart | ThresholdBoxes | PartsChart | IntervalChart


def paper_figures(paper: Paper, runs: Sequence[EvaluatedRun]) -> list[PaperFigure]:
    """Every figure of `paper` that has something to show; the curves are drawn for all papers."""
    figures = [
        PaperFigure(
            name="validation-dice",
            caption=(
                "Mean Dice on the validation cases by round: of the validation sites, or, where a "
                "run has none, of the cases that training sites keep back. Mean over seeds and "
                "folds."
            ),
            drawing=validation_curves(runs),
        )
    ]
    if paper == "hussein2023":
        figures += [
            PaperFigure(
                name="threshold-v-f1",
                caption=(
                    "V-F1 (Dice) of every unseen case by decision threshold. Box: middle half of "
                    "the cases; line: median; whiskers: 5 to 95 % of them. The triangle "
                    "shows where the median is highest here: unseen cases choose nothing."
                ),
                drawing=threshold_boxes(runs),
            ),
            PaperFigure(
                name="split",
                caption="Lesions and their volume in each part of the split, by site.",
                drawing=split_chart(runs),
            ),
        ]
    return [figure for figure in figures if not figure.drawing.is_empty]


def validation_curves(runs: Sequence[EvaluatedRun]) -> Chart:
    """Mean validation Dice by round, one line a method."""
    curves = []
    for label, of_label in _by_label(runs):
        by_round: dict[int, list[float]] = defaultdict(list)
        for run in of_label:
            for index, dice in _validation_dice(run.record) if run.record else ():
                by_round[index].append(dice)
        rounds = tuple(sorted(by_round))
        means = tuple(statistics.fmean(by_round[index]) for index in rounds)
        curves.append(Curve(label=label, rounds=rounds, values=means))
    return Chart(
        title="Validation Dice by method",
        y_label="mean Dice",
        curves=[curve for curve in curves if curve.rounds],
        y_range=(0.0, 1.0),
        levels={},
    )


def threshold_boxes(runs: Sequence[EvaluatedRun]) -> ThresholdBoxes:
    """Dice of every case at each decision threshold, one panel a method."""
    methods = []
    for label, of_label in _by_label(runs):
        by_threshold: dict[float, list[float]] = defaultdict(list)
        for run in of_label:
            wanted = {(row.site, row.name) for row in run.rows}  # fewer under --common-cases
            sweeps = (sweep for case, sweep in run.sweeps.items() if case in wanted)
            for counts in (one for sweep in sweeps for one in sweep):
                if counts.voxels.dice is not None:
                    by_threshold[counts.threshold].append(counts.voxels.dice)
        methods.append(
            MethodBoxes(
                label=label,
                values={at: tuple(by_threshold[at]) for at in sorted(by_threshold)},
            )
        )
    return ThresholdBoxes(title="V-F1 by decision threshold", metric="V-F1", methods=methods)


def split_chart(runs: Sequence[EvaluatedRun]) -> PartsChart:
    """Lesions in each part of the split; every run has the same data, so the first with a result.

    The training sites report what their parts hold; lesions of unseen sites are those of the cases.
    """
    for run in runs:
        reported = [] if run.record is None else list(_parts_reported(run.record))
        if reported and any(row.failed is None for row in run.rows):
            return PartsChart(
                title="Lesions by part of the split", parts=[*reported, *_parts_unseen(run.rows)]
            )
    return PartsChart(title="Lesions by part of the split", parts=[])


def _by_label(runs: Sequence[EvaluatedRun]) -> Iterator[tuple[str, list[EvaluatedRun]]]:
    for label in dict.fromkeys(run.label for run in runs):
        yield label, [run for run in runs if run.label == label]


def _validation_dice(record: RunHistory) -> Iterator[tuple[int, float]]:
    """Round and mean Dice: over all validation cases, else over those that sites keep.

    Where no total of these was asked for, it is the mean of the sites' own means.

    A cascade's sites first score the second network untrained: that is no round's result.
    """
    by_round: dict[int, list[float]] = defaultdict(list)
    for (_, method, index), evaluated in record.evaluations.items():
        if method == "network" and evaluated.role == "validation":
            values = (row.metric("dice") for row in evaluated.cases)
            by_round[index] += [float(value) for value in values if value is not None]
    if not by_round:
        for index, validated in record.site_validations.items():
            by_round[index].append(validated.mean_dice)
    if not by_round:
        for trained in record.training:  # a site scores the parameters of the round before
            if trained.index - 1 == record.second_network_after:
                continue
            values = (reply.fact("validation_dice") for reply in trained.replies.values())
            by_round[trained.index - 1] += [float(value) for value in values if value is not None]
    for index in sorted(by_round):
        if by_round[index]:
            yield index, statistics.fmean(by_round[index])


def _parts_reported(record: RunHistory) -> Iterator[PartOfSite]:
    for site, split in record.splits.items():
        for part, facts in split.parts.items():
            yield PartOfSite(
                part=part,
                site=site,
                n_cases=facts.n_cases,
                n_lesions=facts.n_lesions,
                lesion_ml=facts.lesion_volume_ml,
            )


def _parts_unseen(rows: Sequence[CaseRow]) -> Iterator[PartOfSite]:
    for site in dict.fromkeys(row.site for row in rows):
        scored = [row for row in rows if row.site == site and row.failed is None]
        yield PartOfSite(
            part=UNSEEN,
            site=site,
            n_cases=len(scored),
            n_lesions=sum(int(row.metric("n_reference_lesions") or 0) for row in scored),
            lesion_ml=sum(row.metric("reference_volume_mm3") or 0.0 for row in scored) / 1000,
        )
