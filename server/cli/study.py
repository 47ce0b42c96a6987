"""`lesionfed study`: methods compared on the same sites, with several seeds or in folds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from common.cli.output_paths import require_output_folder
from common.errors import ConfigError
from server.cli.options import (
    KEPT_BY_RESUME,
    Changes,
    Controls,
    HeldOutSites,
    LabelsAreLocal,
    LesionMasks,
    Quiet,
    RecipeName,
    ResultAsJson,
    ResumedStudy,
    Rounds,
    Scale,
    StudyImages,
    StudyOut,
    ValidationSites,
    named_folders,
    overrides_of,
    read_by,
    refuse_settings_beside_resume,
)
from server.papers.published import Paper

if TYPE_CHECKING:
    from common.recipe.recipe import Recipe
    from server.papers.paper_table import PaperTable
    from server.studies.methods.plan import MethodsPlan
    from server.studies.study_folder import StudyFolder


def study(
    recipe: RecipeName = "default",
    site: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="A site that trains; with --folds, one to split."),
    ] = None,
    validation: ValidationSites = None,
    held_out: HeldOutSites = None,
    controls: Controls = None,
    lesion_masks: LesionMasks = None,
    labels_are_local: LabelsAreLocal = False,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="A method of the recipe's [variants]. Repeatable. Without it: all."),
    ] = None,
    pooled: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD",
            help="Beside this method, named METHOD-pooled, the same from one site of all the "
            "training sites' data, as `lesionfed simulate --pooled` trains it. Repeatable; all.",
        ),
    ] = None,
    alone: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD",
            help="Beside this method, named METHOD-alone-SITE, the same at each training site "
            "alone, as `lesionfed simulate --alone` trains it. Repeatable; all.",
        ),
    ] = None,
    once: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD", help="Train this method with the first of --seeds only. Repeatable."
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Such as 0,1,2. Without it: the recipe's own.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            min=3, help="Split the sites into so many parts: each held out once, the next chooses."
        ),
    ] = None,
    out: StudyOut = Path("runs/study"),
    resume: ResumedStudy = None,
    rounds: Rounds = None,
    scale: Scale = "full",
    set_: Changes = None,
    paper: Annotated[
        Paper | None,
        typer.Option(help="Whose table and figures. Without it: the recipe's.", show_default=False),
    ] = None,
    images: StudyImages = False,
    quiet: Quiet = False,
    as_json: ResultAsJson = False,
) -> None:
    """Trains every method of a recipe on the same sites and prints the paper's own table.

    One ordinary run for each method, seed and fold. What is finished is kept: after a cut, --resume
    goes on.
    """
    from server.cli.study_progress import run_with_progress
    from server.run.leakage import require_masks_apart
    from server.studies.begin_study import begin_study
    from server.studies.methods.plan import Beside, MethodsPlan, make_plan
    from server.studies.methods.results import write_results
    from server.studies.study_folder import StudyFolder

    folder = StudyFolder(out if resume is None else resume, MethodsPlan)
    if resume is not None:
        refuse_settings_beside_resume(KEPT_BY_RESUME | {"paper"})
    else:
        from common.imaging.intake.intake import examine

        overrides = overrides_of(set_, rounds=rounds)
        recipes = _recipes(recipe, variant or [], scale=scale, overrides=overrides)
        named = {
            "--site": named_folders(site or [], option="--site"),
            "--validation": named_folders(validation or [], option="--validation"),
            "--held-out": named_folders(held_out or [], option="--held-out"),
            "--controls": named_folders(controls or [], option="--controls"),
        }
        require_output_folder("--out", out, reads=read_by(named))
        plan = make_plan(
            recipes,
            seeds=_numbers(seeds) if seeds else [next(iter(recipes.values())).seed],
            sites=named["--site"],
            validation=named["--validation"],
            unseen=named["--held-out"],
            controls=named["--controls"],
            lesion_masks=lesion_masks,
            labels_are_local=labels_are_local,
            n_folds=folds,
            beside=Beside(
                pooled=_chosen(pooled, recipes),
                alone=_chosen(alone, recipes),
                once=_chosen(once, recipes),
            ),
        )
        require_masks_apart(plan.lesion_masks, plan.places)
        tasks = {method.recipe.task.canonical_json(): method.recipe.task for method in plan.methods}
        for task in tasks.values():
            for data in plan.data.values():
                examine(data, task=task)  # known now, not many networks later
        begin_study(folder, plan)
    run_with_progress(folder, images=images, quiet=quiet or as_json)
    table = write_results(folder, paper=paper)
    result = _result(folder, table)
    if as_json:
        print(json.dumps(result))
    else:
        _show(folder, table, result)
    if any(run["failed"] is not None for run in result["runs"]):
        raise typer.Exit(1)


def _recipes(
    source: str, names: list[str], *, scale: Literal["full", "small"], overrides: list[str]
) -> dict[str, Recipe]:
    """Method -> its recipe: the variants named, else all of them, else the recipe itself."""
    from common.recipe.recipe import load_recipe, variants_of

    names = names or list(variants_of(source))
    if not names:
        alone = load_recipe(source, scale=scale, overrides=overrides)
        return {alone.name: alone}
    return {
        name: load_recipe(source, scale=scale, variant=name, overrides=overrides) for name in names
    }


def _chosen(names: list[str] | None, recipes: dict[str, Recipe]) -> list[str]:
    """The methods that an option names; `all` names every one."""
    return list(recipes) if names == ["all"] else names or []


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds {text!r}: want whole numbers, such as 0,1,2") from None


def _result(folder: StudyFolder[MethodsPlan], table: PaperTable) -> dict[str, Any]:
    """The study's end, for scripts; undefined figures are null."""
    from server.papers.paper_table import as_dict
    from server.studies.run_results import outcome_of

    return {
        "study": str(folder.path),
        "runs": [
            {
                "variant": run.method,
                "seed": run.seed,
                "fold": run.fold,
                "trained_on": run.parts.train,
                "validated_on": run.parts.validation,
                "tested_on": run.parts.unseen,
                "run": str(folder.path / run.place),
                "failed": outcome_of(folder, run).failed,
            }
            for run in folder.plan().runs()
        ],
        "paper": as_dict(table),
        "page": str(folder.page_file),
    }


def _show(folder: StudyFolder[MethodsPlan], table: PaperTable, result: dict[str, Any]) -> None:
    from server.cli.paper_table import show_paper_table
    from server.cli.study_progress import show_failed

    show_paper_table(table)
    show_failed(result["runs"])
    print(f"table    {folder.table_file}")
    print(f"summary  {folder.summary_file}")
    print(f"unseen   {folder.unseen_file}")
    print(f"report   {folder.page_file}")
