"""lesionfed rotate: a new server certificate by the same authority."""

from __future__ import annotations

import typer

from server.cli.options import ProvisionedFederation


def rotate(
    federation: ProvisionedFederation,
) -> None:
    """Make the server a new key and certificate, for 397 days; sites need nothing new.

    The certificate is for the address that federation.toml has now.
    """
    from common.membership.certificate import names_of
    from server.federation.federation_folder import FederationFolder
    from server.federation.provision import rotate_certificate

    folder = FederationFolder(federation)
    end = rotate_certificate(folder)
    names = ", ".join(names_of(folder.certificate_file.read_bytes()))
    proxy = folder.proxy_file.resolve().parent
    typer.echo(f"server certificate: {names}, until {end.date()}")
    typer.echo("next:")
    typer.echo(f"  nginx -s reload -e {proxy}/error.log -c {proxy}/nginx.conf -p {proxy}")
    typer.echo("  restart lesionfed serve when no run is under way, before the old one ends")
