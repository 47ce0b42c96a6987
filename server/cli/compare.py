"""lesionfed compare: runs against each other, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.cli.output_paths import require_output_files
from common.errors import ConfigError
from server.cli.options import Overwrite
from server.cli.paper_table import show_paper_table
from server.papers.published import Paper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from server.compare.cases import SharedCases
    from server.compare.paired import Comparison, PairedMetric
    from server.papers.paper_table import PaperTable


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN...",
            help="Folders of runs, folders with cases.csv, or such tables. "
            "The first is what the others are compared against.",
            show_default=False,
        ),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="A column of cases.csv. Repeat for each. Without it: dice, lesion_f1, "
            "lesion_sensitivity, lesion_ppv and hd95_mm.",
            show_default=False,
        ),
    ] = None,
    common_cases: Annotated[
        bool,
        typer.Option("--common-cases", help="Leave out cases that are not in all the runs."),
    ] = False,
    table: Annotated[
        Path | None,
        typer.Option("--csv", help="Write the table to this file as well.", show_default=False),
    ] = None,
    paper: Annotated[
        Paper | None,
        typer.Option(
            help="Also this paper's own table and figures, each run a method.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="With --paper: folder for its table and figures.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, every pair of cases in it.")
    ] = False,
) -> None:
    """Compare runs on the same cases: mean differences with intervals, tests and effect sizes.

    RUN is the folder of a run, a folder that holds cases.csv, or such a table; the first is what
    the others are compared against. Different sets of cases are refused without --common-cases.
    """
    from common.files import write_whole
    from server.compare.cases import read_runs, shared_cases
    from server.compare.paired import compare as compare_runs
    from server.compare.table import as_dict, as_rows
    from server.evaluation.case_row import as_csv
    from server.papers.paper_table import as_dict as paper_as_dict

    if out is not None and paper is None:
        raise ConfigError("--out holds a paper's table and figures: say which with --paper")
    reads = {f"RUN {number}": run for number, run in enumerate(runs, start=1)}
    require_output_files({"--csv": table}, reads=reads, overwrite=overwrite)
    if out is not None:
        require_output_files(
            {"--out": out / "paper-table.md"}, reads=reads, overwrite=overwrite, make_folders=True
        )
    shared = shared_cases(read_runs(runs), common_only=common_cases)
    comparison = compare_runs(shared, metrics=metric)
    if table is not None:
        write_whole(table, as_csv(as_rows(comparison)))
    as_in_paper, written = (None, []) if paper is None else _as_in(paper, shared, runs, out)
    if as_json:
        facts = as_dict(comparison)
        if as_in_paper is not None:
            facts["paper"] = paper_as_dict(as_in_paper)
        print(json.dumps(facts, allow_nan=False, indent=1))
        return
    _show(comparison)
    if as_in_paper is not None:
        show_paper_table(as_in_paper)
    if table is not None:
        print(f"table  {table}")
    for path in written:
        print(f"paper  {path}")


def _as_in(
    paper: Paper, shared: SharedCases, runs: Sequence[Path], out: Path | None
) -> tuple[PaperTable, list[Path]]:
    """The paper's table of the shared cases, and the files written to `out`."""
    from server.papers.evaluated_run import evaluated_runs
    from server.papers.paper_figures import paper_figures
    from server.papers.paper_table import paper_table, write_paper

    evaluated = evaluated_runs(shared.runs, runs)
    table = paper_table(paper, evaluated)
    return table, [] if out is None else write_paper(out, table, paper_figures(paper, evaluated))


def _show(comparison: Comparison) -> None:
    from rich.console import Console

    from server.compare.table import METHODS, NO_TEST_ACROSS_SITES

    console = Console()
    first, *others = comparison.labels
    for other in others:
        lines = [line for line in comparison.metrics if line.other == other]
        console.print(f"{other} against {first}", markup=False, highlight=False)
        for table in (_means(lines), _tests(lines), _sites(lines)):
            console.print(table)
    notes = [f"{comparison.n_cases} cases of {', '.join(comparison.sites)} are in all the runs."]
    notes += [
        f"Left out of {label}: {n} {'case' if n == 1 else 'cases'} not in all the runs."
        for label, n in comparison.left_out.items()
        if n
    ]
    for note in (*notes, METHODS, NO_TEST_ACROSS_SITES):
        console.print(note, markup=False, highlight=False)


def _means(lines: list[PairedMetric]) -> Table:
    """How far the runs are apart; three narrow tables, since a terminal may have 80 columns."""
    from rich.table import Table

    from server.cli.run_progress import shown

    table = Table("metric", "n", "first", "other", "difference [95% interval]")
    for line in lines:
        means = shown(line.mean_first), shown(line.mean_other)
        table.add_row(line.metric, str(line.n), *means, _difference(line))
    return table


def _tests(lines: list[PairedMetric]) -> Table:
    """What chance has to say, and the cases that are in no difference."""
    from rich.table import Table

    table = Table("metric", "effect", "p", "Holm", "subjects", "failed", "undefined")
    for line in lines:
        counts = (line.n_subjects, line.n_failed, line.n_undefined)
        tests = (_signed(line.rank_biserial, 2), _p(line.p), _p(line.p_holm))
        table.add_row(line.metric, *tests, *map(str, counts))
    return table


def _sites(lines: list[PairedMetric]) -> Table:
    """Mean differences site by site: a mean over all may hide a site that lost."""
    from rich.table import Table

    by_metric = [{d.site: d.mean_difference for d in line.by_site} for line in lines]
    table = Table("difference at", *(line.metric.replace("_", " ") for line in lines))
    for site in dict.fromkeys(site for at in by_metric for site in at):
        table.add_row(site, *(_signed(at.get(site)) for at in by_metric))
    return table


def _difference(line: PairedMetric) -> str:
    if line.interval is None:
        return _signed(line.mean_difference)
    low, high = line.interval
    return f"{_signed(line.mean_difference)} [{_signed(low)}, {_signed(high)}]"


def _signed(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:+.{digits}f}"


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if value >= 0.001 else "<0.001"
