"""lesionfed report: the page with a run's result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.errors import LesionFedError


def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)
    ],
    no_images: Annotated[
        bool,
        typer.Option("--no-images", help="Leave every picture of a patient out."),
    ] = False,
    bundle: Annotated[
        bool,
        typer.Option(
            "--bundle",
            help="Write RUN/bundle.zip as well (with pictures of patients: "
            "bundle-with-images.zip): the report, every table as CSV, every figure as SVG, "
            "recipe, lock and commit.",
        ),
    ] = False,
) -> None:
    """Write RUN/report.html again from what the run has recorded, and print its path.

    The page is one file that opens anywhere. With pictures of patients in it, it must not be passed
    on; --no-images makes one that may, and a bundle of it. Tables and figures hold the labels of
    the held-out cases as they are in the data.
    """
    from server.report.render import write_report  # jinja2 and matplotlib: kept from --help

    try:
        name = "bundle.zip" if no_images else "bundle-with-images.zip"
        archive = run / name if bundle else None
        path = write_report(run, images=not no_images, bundle=archive)
    except LesionFedError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(str(path))
    if archive is not None:
        typer.echo(str(archive))
