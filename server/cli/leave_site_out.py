"""`lesionfed leave-site-out`: every site once unseen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.cli.output_paths import require_output_folder
from server.cli.options import (
    Changes,
    LabelsAreLocal,
    Quiet,
    RecipeName,
    ResultAsJson,
    ResumedStudy,
    Rounds,
    Scale,
    StudyImages,
    StudyOut,
    named_folders,
    overrides_of,
    read_by,
    refuse_settings_beside_resume,
)

if TYPE_CHECKING:
    from server.studies.leave_site_out.cells import Cell
    from server.studies.leave_site_out.plan import LeaveSiteOutPlan
    from server.studies.study_folder import StudyFolder


def leave_site_out(
    recipe: RecipeName = "default",
    site: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="A site, once left out. Three or more."),
    ] = None,
    labels_are_local: LabelsAreLocal = False,
    out: StudyOut = Path("runs/leave-site-out"),
    resume: ResumedStudy = None,
    rounds: Rounds = None,
    scale: Scale = "full",
    set_: Changes = None,
    images: StudyImages = False,
    quiet: Quiet = False,
    as_json: ResultAsJson = False,
) -> None:
    """Trains without each site in turn and judges there; beside it pooled, local, one threshold.

    Three networks a site, each with the same number of optimizer steps. What is finished is kept:
    after an interruption, --resume continues.
    """
    from server.cli.study_progress import run_with_progress
    from server.studies.begin_study import begin_study
    from server.studies.leave_site_out.plan import LeaveSiteOutPlan, make_plan
    from server.studies.leave_site_out.results import write_results
    from server.studies.study_folder import StudyFolder

    folder = StudyFolder(out if resume is None else resume, LeaveSiteOutPlan)
    if resume is not None:
        refuse_settings_beside_resume()
    else:
        from common.imaging.intake.intake import examine
        from common.recipe.recipe import load_recipe

        sites = named_folders(site or [], option="--site")
        overrides = overrides_of(set_, rounds=rounds)
        wanted = load_recipe(recipe, scale=scale, overrides=overrides)
        require_output_folder("--out", out, reads=read_by({"--site": sites}))
        plan = make_plan(wanted, sites, labels_are_local=labels_are_local)
        for data in sites.values():
            examine(data, task=wanted.task)  # known now, not nine networks later
        begin_study(folder, plan)
    run_with_progress(folder, images=images, quiet=quiet or as_json)
    result = _result(folder, write_results(folder))
    if as_json:
        print(json.dumps(result))
    else:
        _show(folder, result)
    if any(run["failed"] is not None for run in result["runs"]):
        raise typer.Exit(1)


def _result(folder: StudyFolder[LeaveSiteOutPlan], cells: Sequence[Cell]) -> dict[str, Any]:
    """The study's end, for scripts; undefined figures are null."""
    from server.studies.leave_site_out.matrix import matrix_rows
    from server.studies.leave_site_out.table import table_rows
    from server.studies.run_results import outcome_of

    return {
        "study": str(folder.path),
        "runs": [
            {
                "method": run.method,
                "trained_on": run.parts.train,
                "tested_on": run.parts.unseen,
                "run": str(folder.path / run.place),
                "failed": outcome_of(folder, run).failed,
            }
            for run in folder.plan().runs()
        ],
        "matrix": [dataclasses.asdict(row) for row in matrix_rows(cells)],
        "table": [dataclasses.asdict(row) for row in table_rows(cells)],
        "page": str(folder.page_file),
    }


def _show(folder: StudyFolder[LeaveSiteOutPlan], result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from server.cli.run_progress import shown
    from server.cli.study_progress import show_failed
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
    show_failed(result["runs"])
    print(f"matrix  {folder.matrix_file}")
    print(f"table   {folder.table_file}")
    print(f"report  {folder.page_file}")
