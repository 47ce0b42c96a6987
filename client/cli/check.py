"""lesionfed-site check: is this folder of images usable, and what has to be fixed?"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from client.cli.case_bar import case_bar
from client.cli.options import AsJson, BidsFolder, MappingFile, Quiet
from common.errors import LesionFedError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from common.imaging.intake.case_facts import CaseFacts
    from common.imaging.intake.intake import Intake
    from common.recipe.task import Task

MENDED_BY_PREPARING = {"date-grid", "image-grid", "not-stripped"}
STYLES = {"blocking": "bold red", "warning": "yellow", "note": "dim"}


def check(
    folder: BidsFolder,
    modalities: Annotated[
        str, typer.Option(help="Images the recipe asks for: BIDS suffixes, commas between.")
    ] = "FLAIR,T1w",
    target: Annotated[
        Literal["lesions", "new-lesions"],
        typer.Option(
            help="What the recipe segments. new-lesions: two sessions of a subject make a case, "
            "their reference is desc-newlesion_mask."
        ),
    ] = "lesions",
    raters: Annotated[
        int,
        typer.Option(
            min=0, max=8, help="Raters whose own masks the recipe asks for: desc-lesionRater1_mask."
        ),
    ] = 0,
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
    validator: Annotated[
        bool, typer.Option("--validator", help="Run the official BIDS validator as well.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Look at every case of a site, list what is wrong and what to do about it.

    blocking: the case is quarantined. warning: look at it. note: good to know. Exit code 1 when
    something is blocking or there is no case. Nothing is written but the page of --html.
    """
    from client.check.bids_validator import validated  # pydantic: kept from --help
    from common.recipe.task import Task

    wanted = tuple(name.strip() for name in modalities.split(","))
    if not all(wanted) or len(set(wanted)) != len(wanted):
        raise typer.BadParameter(
            f"want names such as FLAIR,T1w, each once, got {modalities!r}",
            param_hint="--modalities",
        )
    task = Task(modalities=wanted, target=target, raters=raters)
    if html is not None and not html.parent.is_dir():
        raise typer.BadParameter(f"no such folder: {html.parent}", param_hint="--html")
    try:
        validator_findings = tuple(validated(folder)) if validator else ()
        intake = _survey(
            folder,
            task,
            raw=raw,
            mapping=mapping,
            html=html,
            show_progress=not (as_json or quiet),
        )
        intake = dataclasses.replace(intake, findings=(*validator_findings, *intake.findings))
    except LesionFedError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(_as_dict(intake), indent=2))
    else:
        _print_table(intake, raw=raw)
    if not intake.usable or any(finding.level == "blocking" for finding in intake.findings):
        raise typer.Exit(1)


def _survey(
    folder: Path,
    task: Task,
    *,
    raw: bool,
    mapping: Path | None,
    html: Path | None,
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
                "control": case.control,
                "n_lesion_voxels": case.n_lesion_voxels,
            }
            for case in intake.usable
        ],
        "quarantined": list(intake.quarantined),
        "cases": [dataclasses.asdict(facts) for facts in intake.facts],
        "findings": [dataclasses.asdict(finding) for finding in intake.findings],
    }


def _print_table(intake: Intake, *, raw: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if intake.findings:
        table = Table("level", show_lines=True)
        for title in ("case", "what was found", "what to do"):
            table.add_column(title, overflow="fold")  # a file name is never cut short
        for finding in intake.findings:
            level = f"[{STYLES[finding.level]}]{finding.level}[/]"
            table.add_row(level, escape(finding.case), escape(finding.text), escape(finding.fix))
        console.print(table)
    if intake.facts:
        console.print(_overview(intake.facts))
    n_trainable = sum(case.n_lesion_voxels > 0 for case in intake.usable)
    console.print(
        f"usable: {len(intake.usable)} (with lesions to train on: {n_trainable}), "
        f"quarantined: {len(intake.quarantined)}",
        highlight=False,
    )
    n_unprepared = _unprepared(intake)
    if n_unprepared and not raw:
        console.print(
            f"of these, {n_unprepared} only want preparing: lesionfed-site check --raw, then "
            "lesionfed-site prepare",
            highlight=False,
        )


def _overview(cases: Sequence[CaseFacts]) -> Table:
    """A row for each image: what it is, and the lesions of its case."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title="what the files hold", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    for title in ("case", "modality", "shape", "spacing, mm", "axes", "type", "range", "lesions"):
        table.add_column(title, overflow="fold")
    for case in cases:
        lesions = "no mask"
        if case.lesions is not None:
            lesions = f"{case.lesions.n_lesions}, {case.lesions.volume_ml:.2f} mL"
        for image in case.images:
            table.add_row(
                escape(case.name),
                escape(image.modality),
                "x".join(map(str, image.shape)),
                "x".join(f"{mm:.2f}" for mm in image.spacing_mm),
                image.orientation,
                image.data_type,
                f"{image.low:g} to {image.high:g}",
                lesions,
            )
    table.caption = (
        "axes: where i, j, k run to; lesions: 6-connected components above 3 mm3 (msseg2016); "
        "mL of the whole mask"
    )
    return table


def _unprepared(intake: Intake) -> int:
    """How many cases are quarantined only for what preparing fixes."""
    reasons: dict[str, set[str]] = {name: set() for name in intake.quarantined}
    for finding in intake.findings:
        if finding.level == "blocking" and finding.case in reasons:
            reasons[finding.case].add(finding.code)
    return sum(codes <= MENDED_BY_PREPARING for codes in reasons.values())
