"""lesionfed-site check: is this folder of images usable, and what has to be fixed?"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from client.cli.case_bar import case_bar
from client.cli.check_text import print_intake
from client.cli.options import AsJson, BidsFolder, MappingFile, Quiet
from common.cli.output_paths import require_output_files
from common.errors import ConfigError, LesionFedError, printable

if TYPE_CHECKING:
    from common.imaging.intake.intake import Intake
    from common.recipe.task import Task


def check(
    folder: BidsFolder,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe by name, or a TOML file: its images, target and raters are asked for. "
            "Without one: FLAIR and T1w, lesions of one date.",
            show_default=False,
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the recipe."),
    ] = None,
    modalities: Annotated[
        str | None,
        typer.Option(
            help="Without a recipe: the images asked for, BIDS suffixes, commas between.",
            show_default="FLAIR,T1w",
        ),
    ] = None,
    target: Annotated[
        Literal["lesions", "new-lesions"] | None,
        typer.Option(
            help="Without a recipe: what is segmented. new-lesions: two sessions of a subject make "
            "a case, their reference is desc-newlesion_mask.",
            show_default="lesions",
        ),
    ] = None,
    raters: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=8,
            help="Without a recipe: raters whose own masks are asked for, desc-lesionRater1_mask.",
            show_default="0",
        ),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Judge the folder as input of `prepare`, not as ready to train on: modalities may "
            "lie on different grids, and no image need be stripped.",
        ),
    ] = False,
    mapping: MappingFile = None,
    html: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="Write a page with a picture of each case; it stays at the site.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over a page of that name.")
    ] = False,
    validator: Annotated[
        bool, typer.Option("--validator", help="Run the official BIDS validator as well.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", help="Print the affines of grids, every case and every note."),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Look at every case of a site, list what is wrong and what to do about it.

    blocking: the case is quarantined. warning: look at it. note: good to know. Exit code 1 when
    something is blocking or there is no case. Nothing is written but the page of --html.
    """
    from client.check.bids_validator import validated  # pydantic: kept from --help

    if recipe is None and not changes:
        wanted = "FLAIR,T1w" if modalities is None else modalities
        task = _task(wanted, target or "lesions", raters or 0)
    else:
        _refuse_beside_recipe(modalities=modalities, target=target, raters=raters)
        task = _task_of_recipe(recipe or "default", changes or [])
    try:
        require_output_files(
            {"--html": html}, reads={"BIDS": folder, "--mapping": mapping}, overwrite=overwrite
        )
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    try:
        validator_findings = tuple(validated(folder)) if validator else ()
        intake = _survey(
            folder,
            task,
            raw=raw,
            mapping=mapping,
            html=html,
            affines=verbose,
            show_progress=not (as_json or quiet),
        )
        intake = dataclasses.replace(intake, findings=(*validator_findings, *intake.findings))
    except LesionFedError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(_as_dict(intake), indent=2))
    else:
        print_intake(intake, raw=raw, verbose=verbose)
    if not intake.usable or any(finding.level == "blocking" for finding in intake.findings):
        raise typer.Exit(1)


def _task(modalities: str, target: Literal["lesions", "new-lesions"], raters: int) -> Task:
    from common.recipe.task import Task  # pydantic: kept from --help

    wanted = tuple(name.strip() for name in modalities.split(","))
    if not all(wanted) or len(set(wanted)) != len(wanted):
        raise typer.BadParameter(
            f"want names such as FLAIR,T1w, each once, got {modalities!r}",
            param_hint="--modalities",
        )
    return Task(modalities=wanted, target=target, raters=raters)


def _task_of_recipe(recipe: str, changes: list[str]) -> Task:
    from common.recipe.recipe import load_recipe  # pydantic: kept from --help

    return load_recipe(recipe, overrides=changes).task


def _refuse_beside_recipe(**options: str | int | None) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        name = given[0]
        raise typer.BadParameter(
            f"the recipe says its {name} already; leave --{name} out, or change the recipe with "
            f"--set task.{name}=VALUE",
            param_hint=f"--{name}",
        )


def _survey(
    folder: Path,
    task: Task,
    *,
    raw: bool,
    mapping: Path | None,
    html: Path | None,
    affines: bool,
    show_progress: bool,
) -> Intake:
    from common.imaging.intake.intake import survey  # numpy and nibabel: kept from --help

    with case_bar("examining cases", show=show_progress) as advance:
        intake = survey(folder, task=task, raw=raw, mapping=mapping, thorough=True, on_case=advance)
    if html is not None:
        from client.check.check_page import write_check_page

        with case_bar("drawing cases", show=show_progress) as advance:
            write_check_page(
                html,
                intake,
                root=folder,
                modalities=task.modalities,
                raw=raw,
                affines=affines,
                on_case=advance,
            )
    return intake


def _as_dict(intake: Intake) -> dict[str, object]:
    return {
        "usable": [
            {
                "case": case.name,
                "images": {modality: printable(path) for modality, path in case.images.items()},
                "lesion_mask": None if case.lesion_mask is None else printable(case.lesion_mask),
                "rater_masks": {rater: printable(path) for rater, path in case.rater_masks.items()},
                "brain_mask": None if case.brain_mask is None else printable(case.brain_mask),
                "missing": list(case.missing),
                "control": case.control,
                "n_lesion_voxels": case.n_lesion_voxels,
            }
            for case in intake.usable
        ],
        "quarantined": list(intake.quarantined),
        "cases": [dataclasses.asdict(facts) for facts in intake.facts],
        "findings": [dataclasses.asdict(finding) for finding in intake.findings],
    }
