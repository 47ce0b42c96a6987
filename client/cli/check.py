"""lesionfed-site check: is this folder of images usable, and what has to be mended?"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import LesionFedError

if TYPE_CHECKING:
    from common.imaging.intake import Intake

STYLES = {"blocking": "bold red", "warning": "yellow", "note": "dim"}


def check(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="BIDS",
            exists=True,
            file_okay=False,
            help="Folder that holds the sub-* folders.",
            show_default=False,
        ),
    ],
    modalities: Annotated[
        str, typer.Option(help="Images the recipe asks for: BIDS suffixes, commas between.")
    ] = "FLAIR,T1w",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Look at every case of a site, list what is wrong and what to do about it.

    blocking: the case is left out. warning: look at it. note: good to know. Exit code 1 when a case
    is left out or there is none.
    """
    wanted = tuple(name.strip() for name in modalities.split(","))
    if not all(wanted) or len(set(wanted)) != len(wanted):
        raise typer.BadParameter(
            f"want names such as FLAIR,T1w, each once, got {modalities!r}",
            param_hint="--modalities",
        )
    try:
        intake = _survey(folder, wanted, show_progress=not (as_json or quiet))
    except LesionFedError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(_as_dict(intake), indent=2))
    else:
        _print_table(intake)
    if intake.quarantined or not intake.usable:
        raise typer.Exit(1)


def _survey(folder: Path, modalities: tuple[str, ...], *, show_progress: bool) -> Intake:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from common.imaging.intake import survey  # numpy, nibabel and pybids: kept from --help

    columns = (TextColumn("examining cases"), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    shown = show_progress and console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task("cases", total=None)
        return survey(
            folder,
            modalities=modalities,
            on_case=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _as_dict(intake: Intake) -> dict[str, object]:
    return {
        "usable": [
            {
                "case": case.name,
                "images": {modality: str(path) for modality, path in case.images.items()},
                "lesion_mask": None if case.lesion_mask is None else str(case.lesion_mask),
                "brain_mask": None if case.brain_mask is None else str(case.brain_mask),
                "control": case.control,
                "n_lesion_voxels": case.n_lesion_voxels,
            }
            for case in intake.usable
        ],
        "quarantined": list(intake.quarantined),
        "findings": [dataclasses.asdict(finding) for finding in intake.findings],
    }


def _print_table(intake: Intake) -> None:
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
    n_trainable = sum(case.n_lesion_voxels > 0 for case in intake.usable)
    console.print(
        f"usable: {len(intake.usable)} (with lesions to train on: {n_trainable}), "
        f"left out: {len(intake.quarantined)}",
        highlight=False,
    )
