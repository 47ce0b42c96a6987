"""lesionfed-site join: the coordinator's kit, checked and put in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def join(
    kit: Annotated[
        Path,
        typer.Argument(dir_okay=False, help="Zip from the coordinator.", show_default=False),
    ],
    folder: Annotated[
        Path,
        typer.Option(exists=True, file_okay=False, help="The site's folder, made by init."),
    ],
    authority: Annotated[
        str | None,
        typer.Option(
            help="Fingerprint of the federation's authority, SHA256:..., as the coordinator gave "
            "it; the kit is refused where it differs.",
            show_default="compare it yourself",
        ),
    ] = None,
) -> None:
    """Check the kit that the coordinator made for this site, and put it in its place."""
    import importlib.metadata
    from datetime import UTC, datetime

    from client.site.membership import join_federation
    from client.site.site_folder import SiteFolder
    from common.code_digest import code_digest
    from common.files import owner_only
    from common.membership.certificate import expiry_warning

    site = SiteFolder(folder)
    with owner_only():
        joined = join_federation(site, kit, authority=authority)
    typer.echo(
        f"site {joined.site} ({joined.role}) has joined {joined.federation} at "
        f"{joined.address}, port {joined.port}"
    )
    typer.echo(f"authority: {joined.authority_fingerprint}")
    warning = expiry_warning(
        site.authority_file.read_bytes(), what="the authority", now=datetime.now(UTC)
    )
    if warning:
        typer.echo(f"warning: {warning}", err=True)
    if joined.code_digest != code_digest():
        typer.echo(
            f"warning: the coordinator runs LesionFed {joined.lesionfed_version}, this site "
            f"{importlib.metadata.version('lesionfed')}, and their code differs: rounds will be "
            "refused until both have the same wheel",
            err=True,
        )
    typer.echo("next:")
    if authority is None:
        typer.echo("  compare the authority's fingerprint with the coordinator, by telephone")
    typer.echo(f"  lesionfed-site preflight --folder {folder}")
    typer.echo(f"  lesionfed-site run --folder {folder}")
