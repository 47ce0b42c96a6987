"""lesionfed provision: a federation's authority, certificates and folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from common.cli.output_paths import require_output_folder


def provision(
    file: Annotated[
        Path,
        typer.Argument(
            dir_okay=False,
            help="TOML with name, address, port and [[sites]] of the federation.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="New or empty folder.")],
) -> None:
    """Make a federation: its authority, the server's certificate, the proxy's configuration.

    Keep a copy of OUT/credentials where only the coordinator gets at it: without the authority's
    key no site can enrol, and every site has to enrol again with a new one.
    """
    from common.membership.certificate import certificate_fingerprint, names_of, validity
    from server.federation.provision import provision as make

    require_output_folder("--out", out, reads={"FILE": file})
    folder = make(file, out)
    settings = folder.settings()
    certificate = folder.certificate_file.read_bytes()
    authority = folder.authority_file.read_bytes()
    typer.echo(f"federation {settings.name}, {len(settings.sites)} sites, in {out}")
    typer.echo(
        f"authority: {certificate_fingerprint(authority)}, until {validity(authority)[1].date()}"
    )
    typer.echo(
        f"server certificate: {', '.join(names_of(certificate))}, "
        f"until {validity(certificate)[1].date()}"
    )
    proxy = folder.proxy_file.resolve().parent
    typer.echo("next:")
    typer.echo(f"  lesionfed serve --federation {out}")
    typer.echo(f"  nginx -e {proxy}/error.log -c {proxy}/nginx.conf -p {proxy}")
    typer.echo("  each site: lesionfed-site init NAME --folder FOLDER, and it sends request.json")
    typer.echo(f"  lesionfed enrol request.json --federation {out} --fingerprint SHA256:...")
    typer.echo("  tell each site the authority's fingerprint by telephone")
