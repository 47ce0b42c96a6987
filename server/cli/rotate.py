"""lesionfed rotate: a new server certificate by the same authority."""

from __future__ import annotations

from typing import Annotated

import typer

from server.cli.options import ProvisionedFederation


def rotate(
    federation: ProvisionedFederation,
    requests_key: Annotated[
        bool,
        typer.Option(
            "--requests-key",
            help="Make a new key for signing requests instead: the old one is lost or was read by "
            "somebody. Every site then joins again with a new kit.",
        ),
    ] = False,
) -> None:
    """Make the server a new key and certificate, for 397 days; sites need nothing new.

    The certificate is for the address that federation.toml has now.
    """
    from common.membership.certificate import names_of
    from common.membership.requests_key import new_requests_key
    from server.federation.federation_folder import FederationFolder
    from server.federation.provision import rotate_certificate

    folder = FederationFolder(federation)
    if requests_key:
        folder.settings()  # there is a federation
        new_requests_key(folder.requests_key_file)
        typer.echo(f"new key: {folder.requests_key_file}; sites refuse requests until they have")
        typer.echo("joined with a new kit (code not-signed). For each site:")
        typer.echo(f"  lesionfed enrol REQUEST.json --federation {federation} --fingerprint ...")
        typer.echo("  lesionfed-site join (the new kit); then restart lesionfed-site run")
        return
    end = rotate_certificate(folder)
    names = ", ".join(names_of(folder.certificate_file.read_bytes()))
    proxy = folder.proxy_file.resolve().parent
    typer.echo(f"server certificate: {names}, until {end.date()}")
    typer.echo("next:")
    typer.echo(f"  nginx -s reload -e {proxy}/error.log -c {proxy}/nginx.conf -p {proxy}")
    typer.echo("  restart lesionfed serve when no run is under way, before the old one ends")
