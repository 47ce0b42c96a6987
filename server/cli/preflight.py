"""lesionfed preflight: is the coordinator ready for a run, and what has to be fixed?"""

from __future__ import annotations

from typing import Annotated

import typer

from common.cli.preflight_lines import show_checks
from server.cli.options import ProvisionedFederation


def preflight(
    federation: ProvisionedFederation,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe by name, or a TOML file: its network's size and device are looked at as "
            "well.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check credentials, members, machine, SuperLink and proxy; say what is wrong, what to do.

    Nothing is changed. Start `serve` and the proxy first. Exit code 0: no problem (warnings
    allowed); 1: a problem; 2: asked for wrongly.
    """
    from common.recipe.recipe import load_recipe  # kept from --help
    from server.federation.federation_folder import FederationFolder
    from server.federation.preflight.coordinator_checks import coordinator_checks

    chosen = None if recipe is None else load_recipe(recipe)
    checks = coordinator_checks(FederationFolder(federation), recipe=chosen)
    show_checks(checks, as_json=as_json)
