"""lesionfed-site preflight: can this hospital's node take part, and what has to be fixed?"""

from __future__ import annotations

from typing import Annotated

import typer

from client.cli.options import AsJson, SiteFolderOption
from common.cli.preflight_lines import show_checks


def preflight(
    folder: SiteFolderOption,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe by name, or a TOML file: its network's size, device and deadline are "
            "looked at as well.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check files, machine and the connection to the coordinator; say what is wrong and what to do.

    Nothing is changed, here or there, and a running node is not disturbed; 1 MB of random bytes
    is sent to measure the line. Exit code 0: no problem (warnings allowed); 1: a problem; 2: asked
    for wrongly.
    """
    from client.preflight.site_checks import site_checks  # kept from --help
    from client.site.site_folder import SiteFolder
    from common.recipe.recipe import load_recipe

    chosen = None if recipe is None else load_recipe(recipe)
    checks = site_checks(SiteFolder(folder), recipe=chosen)
    show_checks(checks, as_json=as_json)
