"""lesionfed enrol: a site's request becomes a membership and a kit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from server.cli.options import ProvisionedFederation


def enrol(
    request: Annotated[
        Path,
        typer.Argument(dir_okay=False, help="request.json from the site.", show_default=False),
    ],
    federation: ProvisionedFederation,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            help="Of the site's key, SHA256:..., as the site gave it by telephone.",
            show_default="asked for on a terminal",
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="The site has made a new key; the old one ends."),
    ] = False,
) -> None:
    """Enrol a site: check its request, write its kit.

    The fingerprint has to come from the site by another way than the request. A running server
    learns of the site at once.
    """
    from common.membership.certificate import certificate_fingerprint
    from server.federation.enrolment import enrol as enrol_site
    from server.federation.federation_folder import FederationFolder
    from server.flower.flower_nodes import reconcile

    if fingerprint is None:
        if not sys.stdin.isatty():
            raise typer.BadParameter(
                "give the fingerprint that the site gave by telephone", param_hint="--fingerprint"
            )
        fingerprint = str(typer.prompt("fingerprint, as the site reads it out"))
    folder = FederationFolder(federation)
    kit = enrol_site(folder, request, fingerprint=fingerprint, replace=replace)
    reconciled = reconcile(folder)
    typer.echo(f"enrolled; kit: {kit}")
    if not reconciled.running:
        typer.echo("no server is running; it will know the site when it starts")
    authority = certificate_fingerprint(folder.authority_file.read_bytes())
    typer.echo("next:")
    typer.echo(f"  send {kit.name} to the site; there: lesionfed-site join {kit.name} --folder ...")
    typer.echo(f"  tell the site the authority's fingerprint by telephone: {authority}")
