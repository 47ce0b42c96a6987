"""lesionfed-site leave: end the membership in a federation."""

from __future__ import annotations

from typing import Annotated

import typer

from client.cli.options import SiteFolderOption
from common.errors import printable


def leave(
    folder: SiteFolderOption,
    delete_key: Annotated[
        bool,
        typer.Option(
            "--delete-key", help="Delete the node's private key too; it cannot be undone."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Leave the federation for good; asks first.

    The running node ends within seconds, work that has begun is given up. Images, settings and logs
    stay as they are. Models trained so far keep what they learned here.
    """
    from client.site.membership import leave_federation
    from client.site.site_folder import SiteFolder

    if not yes:
        typer.confirm("Leave the federation for good?", abort=True)
    name = leave_federation(SiteFolder(folder), delete_key=delete_key)
    typer.echo("This site has left: no work is taken, and lesionfed-site run refuses to start.")
    kept = "deleted" if delete_key else "kept; leave --delete-key deletes it"
    typer.echo(f"The private key: {kept}.")
    typer.echo(
        f"Tell the coordinator to run: lesionfed sites remove {printable(name)} --federation FOLDER"
    )
