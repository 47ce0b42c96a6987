"""lesionfed score: one segmentation judged against its reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

from common.errors import LesionFedError
from common.metrics.presets import MSSEG2016, PRESETS, preset

if TYPE_CHECKING:
    from common.metrics.case import CaseScore


def score(
    reference: Annotated[
        Path, typer.Argument(metavar="REF", help="Reference mask, NIfTI.", show_default=False)
    ],
    prediction: Annotated[
        Path,
        typer.Argument(
            metavar="PRED",
            help="Predicted mask or probability map, NIfTI, on the reference's grid.",
            show_default=False,
        ),
    ],
    preset_name: Annotated[
        str,
        typer.Option(
            "--preset",
            click_type=click.Choice(list(PRESETS)),
            help="What a lesion is and when it counts as found.",
        ),
    ] = MSSEG2016.name,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Lesion is where a probability is above this. Masks do not need it.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; null is undefined.")
    ] = False,
) -> None:
    """Score one segmentation against its reference: voxel metrics and lesion metrics.

    Volumes are in mm3. A metric that has no meaning, such as the Dice of a scan without lesions, is
    undefined, never 0.
    """
    from common.metrics.case import score_files  # numpy and nibabel: kept from --help

    definition = preset(preset_name)
    try:
        scored = score_files(reference, prediction, definition=definition, threshold=threshold)
    except LesionFedError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(scored.as_dict(), allow_nan=False, indent=2))
    else:
        _print_table(scored)


def _print_table(scored: CaseScore) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", caption=str(scored.definition), caption_justify="left")
    table.add_column("value", justify="right")
    for name, value in scored.metrics().items():
        table.add_row(name, _in_words(value))
    console = Console()
    console.print(table)
    for note in scored.notes:
        console.print(f"note: {note}", markup=False)


def _in_words(value: float | int | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
