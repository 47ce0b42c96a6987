"""`lesionfed evaluate`: a trained model on sites that never took part."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from common.cli.output_paths import require_output_files, require_output_folder
from common.errors import ConfigError
from server.cli.options import LabelsAreLocal, ModelFile, Overwrite, Quiet, named_folders

if TYPE_CHECKING:
    from rich.table import Table

    from server.evaluation.case_row import CaseRow
    from server.evaluation.site_summary import SiteSummary


def evaluate(
    model: ModelFile,
    held_out: Annotated[
        list[str], typer.Option(metavar="NAME=PATH", help="An unseen site. Repeat for each.")
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for cases.csv, sites.csv and a picture a case.")
    ] = Path("evaluation"),
    images: Annotated[bool, typer.Option(help="Whether to draw the cases.")] = True,
    labels_are_local: LabelsAreLocal = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Cases, sites and the worst site as one JSON object.")
    ] = False,
) -> None:
    """Scores a model file case by case on held-out sites, and sums up each site.

    Writes cases.csv, lesions.csv, thresholds.csv, probabilities.csv, sites.csv and definition.json.
    A case is scored on the scanner's own grid where its folder, by `lesionfed-site prepare`, holds
    the reference as it was drawn; cases_prepared_grid.csv then has it on the prepared grid too.
    With images, prepared cases are kept in OUT/prepared for the next time: images of patients.
    Exit code 1 when a planned case has no score. Sites that share a folder, a subject or an image
    are refused, with each other and with what trained the model or chose in its run; a model file
    outside its run's folder cannot tell the latter, and a note says so.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from common.model_file import read_model
    from server.evaluation.evaluate import evaluate as evaluate_sites
    from server.evaluation.site_summary import summarize_sites, worst_site
    from server.run.data_record import places_of
    from server.run.leakage import examined_places
    from server.run.participation import require_no_leakage, require_took_no_part

    sites = named_folders(held_out, option="--held-out")
    if not sites:
        raise ConfigError("want at least one --held-out NAME=PATH")
    require_took_no_part(model, sites)
    reads = {"MODEL": model, **{f"--held-out {name}": path for name, path in sites.items()}}
    require_output_folder("--out", out, reads=reads)
    require_output_files(
        {"--out": out / "cases.csv"}, reads=reads, overwrite=overwrite, make_folders=True
    )
    loaded = read_model(model)
    note = require_no_leakage(
        model,
        examined_places(
            places_of(sites, "unseen"), recipe=loaded.recipe, labels_are_local=labels_are_local
        ),
        parts={"train", "statistics", "validation", "threshold"},
        labels_are_local=labels_are_local,
    )
    notes = [] if note is None else [note]
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        disable=quiet or as_json,
        transient=True,
    )
    with progress:
        task = progress.add_task("reading the sites", total=None)

        def show(name: str, number: int, n_cases: int) -> None:
            progress.update(task, description=name, completed=number - 1, total=n_cases)

        with nullcontext(out / "prepared") if images else TemporaryDirectory() as store:
            by_site = evaluate_sites(
                loaded,
                sites,
                out=out,
                store=Path(store),
                images=images,
                on_case=show,
                on_note=notes.append,
            )
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    rows = [row for of_site in by_site.values() for row in of_site]
    summaries = summarize_sites(rows)
    worst = worst_site(summaries)
    if as_json:
        facts = {
            "cases": [row.as_dict() for row in rows],
            "sites": [summary.as_dict() for summary in summaries],
            "worst_site": None if worst is None else worst.site,
            "notes": notes,
        }
        print(json.dumps(facts, allow_nan=False))
    else:
        _show(rows, summaries, worst)
        print(f"rows  {out / 'cases.csv'}")
    if any(row.failed is not None for row in rows):
        raise typer.Exit(1)


def _show(
    rows: Sequence[CaseRow], summaries: Sequence[SiteSummary], worst: SiteSummary | None
) -> None:
    from rich.console import Console

    from server.evaluation.scored_grid import scored_grid_in_words
    from server.events.failure_advice import ADVICE, advice

    console = Console()
    console.print(_case_table(rows))
    console.print(_site_table(summaries))
    if where := scored_grid_in_words(summaries):
        print(where)
    for code in dict.fromkeys(row.failed for row in rows if row.failed in ADVICE):
        print(f"{code}: {advice(code)}")
    if worst is not None:
        print(_worst_site_line(worst))
    if unranked := [s.site for s in summaries if s.metric("dice").mean is None]:
        print(f"No Dice is defined at: {', '.join(unranked)}.")


def _case_table(rows: Sequence[CaseRow]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from server.cli.run_progress import shown

    grids = {row.grid for row in rows if row.failed is None}
    table = Table(
        "site",
        "case",
        *(["grid"] if len(grids) > 1 else []),
        "Dice",
        "lesion F1",
        "lesion sensitivity",
        "lesion PPV",
    )
    for row in rows:
        grid = [row.grid if row.failed is None else "-"] if len(grids) > 1 else []
        figures = [
            shown(row.metric(metric))
            for metric in ("dice", "lesion_f1", "lesion_sensitivity", "lesion_ppv")
        ]
        cells = figures if row.failed is None else [Text(f"failed: {row.failed}")]
        table.add_row(row.site, row.name, *grid, *cells)
    return table


def _site_table(summaries: Sequence[SiteSummary]) -> Table:
    from rich.table import Table

    from server.cli.run_progress import shown

    table = Table(
        "site",
        "scored / planned",
        "Dice mean",
        "median [quartiles]",
        "pooled",
        "lesion F1 mean",
        "volume bias, ml [limits of agreement]",
        caption="n: cases that define the metric, where not all scored ones do. "
        "Pooled: Dice of all cases' voxels together.",
        caption_justify="left",
    )
    for summary in summaries:
        dice = summary.metric("dice")
        limits = summary.agreement.limits_ml
        table.add_row(
            summary.site,
            f"{summary.n_scored} / {summary.n_planned}",
            _mean(summary, "dice"),
            f"{shown(dice.median)} [{shown(dice.q1)}, {shown(dice.q3)}]" if dice.n else "-",
            shown(summary.pooled_dice),
            _mean(summary, "lesion_f1"),
            _signed(summary.agreement.bias_ml)
            + ("" if limits is None else f" [{_signed(limits[0])}, {_signed(limits[1])}]"),
        )
    return table


def _mean(summary: SiteSummary, metric: str) -> str:
    """The mean, and over how many cases where it is not all that were scored."""
    from server.cli.run_progress import shown

    figures = summary.metric(metric)
    some = 0 < figures.n < summary.n_scored
    return f"{shown(figures.mean)} (n = {figures.n})" if some else shown(figures.mean)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _worst_site_line(worst: SiteSummary) -> str:
    dice = worst.metric("dice")
    return (
        f"Worst site: {worst.site}, mean Dice {dice.mean:.3f} over {dice.n} of "
        f"{worst.n_planned} planned cases."
    )
