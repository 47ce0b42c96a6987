"""lesionfed-site init: a key of the site's own, and the request to take part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.cli.output_paths import require_output_folder


def init(
    name: Annotated[
        str,
        typer.Argument(
            help="The site's name, as agreed with the coordinator: letters, digits, - and _.",
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path,
        typer.Option(file_okay=False, help="The site's folder; created where it does not exist."),
    ],
) -> None:
    """Make the site's key and its request to take part.

    The private key stays in the folder. What is sent is request.json; the fingerprint is given by
    telephone, so that the coordinator knows that the request is yours.
    """
    from client.site.new_site import new_site
    from common.files import owner_only
    from common.membership.node_key import fingerprint

    require_output_folder("--folder", folder, reads={})
    with owner_only():
        made, request = new_site(folder, name)
    typer.echo(f"site {request.site}: key, request and settings in {made.path}")
    typer.echo(f"fingerprint: {fingerprint(request.public_key)}")
    typer.echo("next:")
    typer.echo(f"  send {made.request_file} to the coordinator; never send {made.key_file.name}")
    typer.echo("  tell the coordinator the fingerprint by telephone, not in the same message")
    typer.echo(f"  write where the data are into {made.settings_file}")
    typer.echo(f"  lesionfed-site join KIT.zip --folder {made.path}")
