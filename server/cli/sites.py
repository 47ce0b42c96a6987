"""lesionfed sites: who belongs to a federation, and who takes part now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from server.cli.options import ProvisionedFederation

if TYPE_CHECKING:
    from server.federation.federation_folder import FederationFolder
    from server.federation.site_list import ListedSite


def sites(
    federation: ProvisionedFederation,
    action: Annotated[
        Literal["list", "suspend", "restore", "remove"],
        typer.Argument(
            help="suspend: leave a site out from the next round on; restore: take it back; "
            "remove: end its membership, it may enrol again with a new key only."
        ),
    ] = "list",
    name: Annotated[
        str | None, typer.Argument(help="The site; not for list.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the sites of a federation, or suspend, restore or remove one; no restart is needed."""
    import dataclasses

    from server.federation.federation_folder import FederationFolder
    from server.federation.site_list import expiry_warnings, site_list

    folder = FederationFolder(federation)
    if (name is None) != (action == "list"):
        wanted = "no name" if action == "list" else "the site's name"
        raise typer.BadParameter(f"{action} takes {wanted}", param_hint="NAME")
    if name is not None:
        _change(folder, action, name)
    listed = site_list(folder)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(site) for site in listed], indent=2))
    else:
        _print_table(listed)
    for warning in expiry_warnings(folder):
        typer.echo(f"warning: {warning}", err=True)


def _change(folder: FederationFolder, action: str, name: str) -> None:
    from server.federation.enrolment import remove, restore, suspend
    from server.flower.flower_nodes import reconcile

    {"suspend": suspend, "restore": restore, "remove": remove}[action](folder, name)
    reconcile(folder)


def _print_table(listed: list[ListedSite]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("site", "role", "state", "fingerprint", "enrolled"):
        table.add_column(title, overflow="fold")
    for site in listed:
        table.add_row(
            site.site, site.role or "not planned", site.state, site.fingerprint, site.enrolled
        )
    Console().print(table)
