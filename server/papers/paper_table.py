"""A paper's own table, from our runs, with the paper's figures beside them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from common.files import write_whole
from common.metrics.cohort import PatientLevel, false_detections, patient_level
from common.metrics.patient_level import patient_level_by_subject
from server.evaluation.case_row import CaseRow
from server.evaluation.site_summary import defined
from server.events.schema import SiteTest
from server.papers.evaluated_run import EvaluatedRun
from server.papers.paper_figures import PaperFigure
from server.papers.published import PUBLISHED, Paper
from server.papers.row_tests import RowTest, row_tests, tests_in_words

AS_PUBLISHED = "as published"
UNDEFINED = "-"

Figure = Callable[[Sequence[CaseRow]], float | None]
"""One figure of one network, from its scored cases; None where it is undefined."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of a paper's table.

    figure   of the unseen sites' cases
    seen     where the column is of all test cases, those that training sites kept for a test and
             those of the unseen sites: the mean over the former, and over how many cases; a table
             without such a test is without the column
    metric   then the same metric in the latter
    rare     the metric in a case, where predictions decide whether it is defined: a note says in
             how many cases it is
    """

    title: str
    figure: Figure
    seen: Callable[[SiteTest], tuple[float | None, int]] | None = None
    metric: str | None = None
    rare: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One figure of one method: mean and sample standard deviation over its seeds.

    n      seeds in which the figure is defined
    mean   None where n is 0; sd: None where n is below 2
    """

    n: int
    mean: float | None
    sd: float | None

    def __str__(self) -> str:
        if self.mean is None:
            return UNDEFINED
        spread = "" if self.sd is None else f" \N{PLUS-MINUS SIGN} {self.sd:.3f}"
        return f"{self.mean:.3f}{spread}"


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodLine:
    """One method of ours. n_planned, n_scored: its cases over all seeds."""

    label: str
    n_seeds: int
    n_planned: int
    n_scored: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperTable:
    """Our methods in a paper's columns.

    published   the paper's method -> its figures, in the same columns
    source      where those are from; empty where the paper reports none
    notes       what the reader has to know of the columns
    tests       two methods each, paired by case
    """

    paper: Paper
    columns: tuple[str, ...]
    lines: tuple[MethodLine, ...]
    published: Mapping[str, tuple[float | None, ...]]
    source: str
    notes: tuple[str, ...]
    tests: tuple[RowTest, ...] = ()


def _mean(metric: str) -> Figure:
    return lambda rows: statistics.fmean(values) if (values := defined(rows, metric)) else None


def _median(metric: str) -> Figure:
    return lambda rows: statistics.median(values) if (values := defined(rows, metric)) else None


def _sd(metric: str) -> Figure:
    """Sample standard deviation over the cases."""
    return lambda rows: (
        statistics.stdev(values) if len(values := defined(rows, metric)) > 1 else None
    )


def _by_scan(rows: Sequence[CaseRow]) -> PatientLevel:
    return patient_level(row.metrics for row in rows)


def _false_lesions(rows: Sequence[CaseRow]) -> float | None:
    return false_detections(row.metrics for row in rows).mean_count


def _seen_dice(test: SiteTest) -> tuple[float | None, int]:
    return test.mean_dice, test.n_cases if test.n_dice is None else test.n_dice


def _seen_lesion_f1(test: SiteTest) -> tuple[float | None, int]:
    return test.mean_lesion_f1, test.n_cases if test.n_lesion_f1 is None else test.n_lesion_f1


_NEW_LESIONS = (
    Column(title="Dice", figure=_mean("dice")),
    Column(title="LF1", figure=_mean("lesion_f1")),
    Column(title="False lesions", figure=_false_lesions),
)

COLUMNS: Mapping[Paper, tuple[Column, ...]] = {
    "galassi2019": (
        Column(title="Dice all test", figure=_mean("dice"), seen=_seen_dice, metric="dice"),
        Column(
            title="F1 all test",
            figure=_mean("lesion_f1"),
            seen=_seen_lesion_f1,
            metric="lesion_f1",
        ),
        Column(title="Dice unseen site", figure=_mean("dice")),
        Column(title="F1 unseen site", figure=_mean("lesion_f1")),
    ),
    "kamraoui2021": _NEW_LESIONS,
    "fenneteau2021": _NEW_LESIONS,
    "hussein2023": (
        Column(title="L-F1 median", figure=_median("lesion_f1")),
        Column(title="V-F1 median", figure=_median("dice")),
        Column(title="L-F1 mean", figure=_mean("lesion_f1")),
        Column(title="L-F1 SD", figure=_sd("lesion_f1")),
        Column(title="V-F1 mean", figure=_mean("dice")),
        Column(title="V-F1 SD", figure=_sd("dice")),
        Column(title="P-sens scans", figure=lambda rows: _by_scan(rows).sensitivity),
        Column(title="P-spec scans", figure=lambda rows: _by_scan(rows).specificity),
        Column(
            title="P-sens subjects",
            figure=lambda rows: patient_level_by_subject(rows).sensitivity,
        ),
        Column(
            title="P-spec subjects",
            figure=lambda rows: patient_level_by_subject(rows).specificity,
        ),
    ),
    "aslani2020": (
        Column(title="DSC", figure=_mean("dice")),
        Column(title="LTPR", figure=_mean("ltpr")),
        Column(title="LFPR", figure=_mean("lfpr"), rare="lfpr"),
        Column(title="PPV", figure=_mean("ppv"), rare="ppv"),
    ),
    "default": (
        Column(title="Dice", figure=_mean("dice")),
        Column(title="Lesion F1", figure=_mean("lesion_f1")),
    ),
}

_NEW_LESION_NOTE = (
    "Dice and LF1 (lesion F1): mean over the cases with a new lesion. False lesions: predicted "
    "lesions in a case without a new one, mean over those cases. The paper reports no results."
)
_NOTES: Mapping[Paper, str] = {
    "galassi2019": "Dice and F1 (lesion F1): mean over cases.",
    "kamraoui2021": _NEW_LESION_NOTE,
    "fenneteau2021": _NEW_LESION_NOTE,
    "hussein2023": (
        "L-F1 (lesion F1) and V-F1 (Dice): median, mean and standard deviation (SD) over the scans "
        "with a lesion. P-sens: share of those with a lesion in which one was predicted; P-spec: "
        "share of the lesion-free in which none was. Scans: each scan counts. Subjects: a subject "
        "has a lesion, in reference or prediction, where one of its scans has one. The paper does "
        "not say which of the two it counts; its figures stand under scans, which it numbers."
    ),
    "aslani2020": (
        "DSC (Dice), LTPR and LFPR (lesion-wise true and false positive rate) and PPV (of voxels): "
        "mean over cases. LFPR: lower is better. LFPR and PPV are undefined where nothing was "
        "predicted, so such a case is in neither mean."
    ),
    "default": "Mean over cases.",
}


def paper_of(name: str) -> Paper:
    """The paper whose table a recipe of this name asks for; `default` where it is none of them."""
    papers: dict[str, Paper] = {paper: paper for paper in get_args(Paper)}
    return papers.get(name, "default")


def paper_table(paper: Paper, runs: Sequence[EvaluatedRun]) -> PaperTable:
    """Each method's line in the columns of `paper`, methods in the order in which they appear.

    runs   the folds of one method and seed are one set of cases: the figure is made of them
           together, then averaged over the seeds

    A case that failed is in no figure; n_scored shows it. Undefined values are in no mean.
    """
    tests = _site_tests(runs)
    shown = [
        place
        for place, column in enumerate(COLUMNS[paper])
        if column.seen is None or tests is not None
    ]
    columns = [COLUMNS[paper][place] for place in shown]
    published = PUBLISHED.get(paper)
    labels = dict.fromkeys(run.label for run in runs)
    notes = [_NOTES[paper]]
    if any(len({run.seed for run in runs if run.label == label}) > 1 for label in labels):
        notes.append("\N{PLUS-MINUS SIGN}: standard deviation over the seeds.")
    notes += [
        _n_defined(label, [run for run in runs if run.label == label], rare)
        for label in labels
        if (rare := [column for column in columns if column.rare])
    ]
    if seen := [column.title for column in COLUMNS[paper] if column.seen]:
        notes.append(
            f"{' and '.join(seen)}: "
            + (
                "left out, for not every run has a test on cases that its training sites kept."
                if tests is None
                else "of the cases that training sites kept for a test, and of the unseen sites'."
            )
        )
    return PaperTable(
        paper=paper,
        columns=tuple(column.title for column in columns),
        lines=tuple(
            _line(label, [run for run in runs if run.label == label], columns) for label in labels
        ),
        published={}
        if published is None
        else {
            label: tuple(values[place] for place in shown)
            for label, values in published.rows.items()
        },
        source="" if published is None else published.source,
        notes=tuple(notes),
        tests=row_tests(runs, "lesion_f1") if paper == "galassi2019" else (),
    )


def _line(label: str, runs: Sequence[EvaluatedRun], columns: Sequence[Column]) -> MethodLine:
    seeds = dict.fromkeys(run.seed for run in runs)
    by_seed = [[run for run in runs if run.seed == seed] for seed in seeds]
    n_rows = sum(len(run.rows) for run in runs)
    n_failed = sum(row.failed is not None for run in runs for row in run.rows)
    return MethodLine(
        label=label,
        n_seeds=len(seeds),
        n_planned=n_rows,
        n_scored=n_rows - n_failed,
        entries=tuple(
            _entry([_figure(column, of_seed) for of_seed in by_seed]) for column in columns
        ),
    )


def _figure(column: Column, runs: Sequence[EvaluatedRun]) -> float | None:
    """One figure of one method and seed, over all its folds."""
    if column.seen is None:
        return column.figure([row for run in runs for row in run.rows if row.failed is None])
    rows = [row for run in runs for row in run.rows if row.failed is None]
    unseen = [] if column.metric is None else defined(rows, column.metric)
    tests = [column.seen(test) for test in _site_tests(runs) or ()]
    means = [(mean, n) for mean, n in tests if mean is not None and n]
    n_cases = sum(n for _, n in means) + len(unseen)
    total = sum(mean * n for mean, n in means) + sum(unseen)
    return total / n_cases if n_cases else None


def _site_tests(runs: Sequence[EvaluatedRun]) -> list[SiteTest] | None:
    """The tests of the runs with a result; None where one of them has none, or no run a result."""
    with_result = [run for run in runs if any(row.failed is None for row in run.rows)]
    tests = [
        run.record.site_test
        for run in with_result
        if run.record is not None and run.record.site_test is not None
    ]
    return tests if tests and len(tests) == len(with_result) else None


def _n_defined(label: str, runs: Sequence[EvaluatedRun], columns: Sequence[Column]) -> str:
    """In how many of a method's scored cases figures are defined that need a prediction."""
    rows = [row for run in runs for row in run.rows if row.failed is None]
    counts = [
        f"{column.title} in {len(defined(rows, column.rare))}" for column in columns if column.rare
    ]
    return f"{label}: {' and '.join(counts)} of {len(rows)} scored cases."


def _entry(by_seed: Sequence[float | None]) -> Entry:
    values = [value for value in by_seed if value is not None]
    return Entry(
        n=len(values),
        mean=statistics.fmean(values) if values else None,
        sd=statistics.stdev(values) if len(values) > 1 else None,
    )


def as_grid(table: PaperTable) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text: ours, then a row of the source's name and the paper's own."""
    header = ["method", *table.columns, "scored / planned", "seeds"]
    rows = [
        [
            line.label,
            *map(str, line.entries),
            f"{line.n_scored} / {line.n_planned}",
            str(line.n_seeds),
        ]
        for line in table.lines
    ]
    for label, values in table.published.items():
        rows.append([f"{label} ({AS_PUBLISHED})", *map(_published, values), "", ""])
    return header, rows


def _published(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.3f}"


def as_markdown(table: PaperTable) -> str:
    """The table as Markdown, the notes below."""
    header, rows = as_grid(table)
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    text = [" | ".join(["", *(_escaped(cell) for cell in line), ""]).strip() for line in lines]
    return "\n".join([*text, "", *(f"{note}\n" for note in all_notes(table))])


def _escaped(cell: str) -> str:
    """The text as a cell of Markdown: a bar would begin the next one."""
    return cell.replace("|", "\\|")


def as_text(table: PaperTable) -> str:
    """The table in columns of one width each, the notes below."""
    header, rows = as_grid(table)
    widths = [max(len(row[index]) for row in (header, *rows)) for index in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    ]
    return "\n".join([*lines, "", *all_notes(table), ""])


def as_dict(table: PaperTable) -> dict[str, Any]:
    """The whole table, ready for JSON; undefined is None."""
    return {
        "paper": table.paper,
        "columns": list(table.columns),
        "methods": [asdict(line) for line in table.lines],
        "as_published": {label: list(values) for label, values in table.published.items()},
        "source": table.source,
        "notes": list(table.notes),
        "tests": [asdict(test) for test in table.tests],
    }


def all_notes(table: PaperTable) -> list[str]:
    """What the reader has to know of the columns, and where the paper's figures are from."""
    source = [f"As published: {table.source}. Other data, so not to be ranked with ours."]
    tests = [] if not table.tests else [tests_in_words(table.tests, of="F1")]
    return [*table.notes, *tests, *(source if table.source else [])]


def write_paper(folder: Path, table: PaperTable, figures: Sequence[PaperFigure]) -> list[Path]:
    """Writes `paper-table.md`, `paper-table.txt` and one SVG a figure; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"paper-table.md": as_markdown(table), "paper-table.txt": as_text(table)}
    texts |= {f"{figure.name}.svg": figure.drawing.svg() for figure in figures}
    for name, text in texts.items():
        write_whole(folder / name, text.encode())
    return [folder / name for name in texts]
