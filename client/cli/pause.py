"""lesionfed-site pause and unpause: take no work for a while."""

from __future__ import annotations

import typer

from client.cli.options import SiteFolderOption
from common.errors import ConfigError


def pause(folder: SiteFolderOption) -> None:
    """Take no new work until `unpause`; work that has begun is finished.

    The node stays connected and tells the coordinator that the site is paused.
    """
    from client.site.site_folder import SiteFolder

    site = SiteFolder(folder)
    if not site.settings_file.is_file():
        raise ConfigError(
            f"{site.settings_file}: no such file, so nothing here could be paused. Name the folder "
            "that `lesionfed-site run` was given, with --folder."
        )
    site.paused_file.touch()
    typer.echo("paused: no new work is taken. lesionfed-site unpause ends this.")


def unpause(folder: SiteFolderOption) -> None:
    """Take work again."""
    from client.site.site_folder import SiteFolder

    SiteFolder(folder).paused_file.unlink(missing_ok=True)
    typer.echo("work is taken again, as soon as lesionfed-site run is running")
