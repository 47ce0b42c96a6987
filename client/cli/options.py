"""The options that several commands of a site have, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SiteFolderOption = Annotated[
    Path,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        exists=True,
        file_okay=False,
        help="The site's folder, as made by lesionfed-site init.",
        show_default=False,
    ),
]
BidsFolder = Annotated[
    Path,
    typer.Argument(
        metavar="BIDS",
        exists=True,
        file_okay=False,
        help="Folder that holds the sub-* folders, or the files of --mapping; read only.",
        show_default=False,
    ),
]
MappingFile = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="Table (tab-separated: subject, session, modality, path) of a folder that is not "
        "BIDS.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]
