"""`lesionfed leave-site-out`: every site once unseen."""

from __future__ import annotations

import dataclasses
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from common.cli.named_folders import named_folders
from server.cli.resume_options import refuse_settings_beside_resume

if TYPE_CHECKING:
    from server.studies.leave_site_out.study_folder import StudyFolder


def leave_site_out(
    recipe: Annotated[
        str, typer.Option(help="A recipe that comes with LesionFed, or a TOML file.")
    ] = "default",
    site: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="A site, once left out. Three or more."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The study's folder; goes on where the same study is in it.")
    ] = Path("runs/leave-site-out"),
    resume: Annotated[
        Path | None, typer.Option(help="A study to go on with; no other setting is taken.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Training rounds.", min=1)] = None,
    scale: Annotated[
        Literal["full", "small"],
        typer.Option(help="small: the recipe's own preset of sizes and steps for 2 cores."),
    ] = "full",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Changes one setting. Repeatable."),
    ] = None,
    images: Annotated[
        bool,
        typer.Option(help="Whether each run's report holds pictures of its unseen cases."),
    ] = False,
    quiet: Annotated[bool, typer.Option(help="No progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Trains without each site in turn and judges there; beside it pooled, local, one threshold.

    Three networks a site, each with the same number of optimizer steps. What is finished is kept:
    after a cut, --resume goes on.
    """
    from server.studies.leave_site_out.study_folder import StudyFolder

    if resume is not None:
        refuse_settings_beside_resume()
        folder = StudyFolder(resume)
    else:
        from common.imaging.intake.intake import examine
        from common.recipe.recipe import load_recipe
        from server.studies.leave_site_out.plan import make_plan

        overrides = list(set_ or [])
        overrides += [f"federation.rounds={rounds}"] if rounds is not None else []
        sites = named_folders(site or [], option="--site")
        wanted = load_recipe(recipe, scale=scale, overrides=overrides)
        for data in sites.values():
            examine(data, task=wanted.task)  # known now, not nine networks later
        folder = StudyFolder(out)
        folder.begin(make_plan(wanted, sites))
    _conduct(folder, images=images, quiet=quiet or as_json)
    result = _result(folder)
    if as_json:
        print(json.dumps(result))
    else:
        _show(folder, result)
    if any(run["failed"] is not None for run in result["runs"]):
        raise typer.Exit(1)


def _conduct(folder: StudyFolder, *, images: bool, quiet: bool) -> None:
    from server.cli.study_progress import StudyProgress
    from server.studies.leave_site_out.results import write_results
    from server.studies.leave_site_out.run import conduct_study

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # recorded as stopped, as Ctrl-C is
    progress = StudyProgress(folder.path, folder.plan().runs(), quiet=quiet)
    conduct_study(folder, images=images, watch=progress)
    write_results(folder)


def _result(folder: StudyFolder) -> dict[str, Any]:
    """The study's end, for scripts; undefined figures are null."""
    from server.studies.leave_site_out.cells import read_cells
    from server.studies.leave_site_out.matrix import matrix_rows
    from server.studies.leave_site_out.run import outcome_of
    from server.studies.leave_site_out.table import table_rows

    cells = read_cells(folder)
    return {
        "study": str(folder.path),
        "runs": [
            {
                "method": run.method,
                "trained_on": run.trained_on,
                "tested_on": run.tested_on,
                "run": str(folder.path / run.place),
                "failed": outcome_of(folder, run).failed,
            }
            for run in folder.plan().runs()
        ],
        "matrix": [dataclasses.asdict(row) for row in matrix_rows(cells)],
        "table": [dataclasses.asdict(row) for row in table_rows(cells)],
        "page": str(folder.page_file),
    }


def _show(folder: StudyFolder, result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from server.cli.run_progress import shown
    from server.studies.leave_site_out.verdict import method_names

    figures = {(row["method"], row["metric"]): row for row in result["table"]}
    table = Table(
        "", "Dice", "median", "all voxels", "lesion F1", "worst site", "scored",
        title="all cases, each at a site that took no part", title_justify="left",
    )  # fmt: skip
    for method, name in method_names(folder.plan().recipe.task).items():
        dice, f1 = figures.get((method, "dice")), figures.get((method, "lesion_f1"))
        if dice is None or f1 is None:
            continue
        worst = dice["worst_site"]
        table.add_row(
            name,
            *(shown(dice[key]) for key in ("mean", "median", "pooled")),
            shown(f1["mean"]),
            "-" if worst is None else escape(f"{worst} {shown(dice['worst_site_mean'])}"),
            f"{dice['n_scored']} of {dice['n_planned']}",
        )
    Console().print(table)
    for run in result["runs"]:
        if run["failed"] is not None:
            print(f"failed  {run['run']}: {run['failed']}")
    print(f"matrix  {folder.matrix_file}")
    print(f"table   {folder.table_file}")
    print(f"report  {folder.page_file}")
