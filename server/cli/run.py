"""`lesionfed run`: a recipe over the hospitals of a federation."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from common.errors import ConfigError
from server.cli.follow_run import follow_run

if TYPE_CHECKING:
    from server.federation.federation_folder import FederationFolder


def run(
    federation: Annotated[
        Path, typer.Option(help="The federation's folder.", file_okay=False, exists=True)
    ],
    recipe: Annotated[
        str, typer.Option(help="A recipe that comes with LesionFed, or a TOML file.")
    ] = "default",
    name: Annotated[
        str | None,
        typer.Option(help="Of the run and its folder; without it RECIPE-YYYYmmdd-HHMMSS."),
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Training rounds.", min=1)] = None,
    scale: Annotated[
        Literal["full", "small"],
        typer.Option(help="small: the recipe's own preset of sizes and steps for 2 cores."),
    ] = "full",
    variant: Annotated[
        str | None,
        typer.Option(help="One of the methods that the recipe's file names to compare."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.", min=0)] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Changes one setting. Repeatable."),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Starts the run and does not follow it.")
    ] = False,
    quiet: Annotated[bool, typer.Option(help="No progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Trains over the federation's sites and judges the result on its unseen ones.

    Follows the run to its end; Ctrl-C only stops following. Exit code 0 when it is completed.
    """
    from common.recipe.recipe import load_recipe
    from server.federation.federation_folder import FederationFolder
    from server.flower.submission import lay_out_run, require_served, submit

    folder = FederationFolder(federation)
    folder.settings()
    overrides = list(set_ or [])
    overrides += [f"federation.rounds={rounds}"] if rounds is not None else []
    overrides += [f"seed={seed}"] if seed is not None else []
    loaded = load_recipe(recipe, scale=scale, variant=variant, overrides=overrides)
    called = name or f"{loaded.name}-{datetime.now():%Y%m%d-%H%M%S}"
    _require_name(called)
    require_served(folder)
    laid_out = lay_out_run(folder, recipe=loaded, name=called)
    flower_run_id = submit(folder, laid_out)
    if not (quiet or as_json):
        typer.echo(_begun(folder, called), err=True)
    follow_run(
        folder,
        laid_out,
        flower_run_id=flower_run_id,
        skip=0,
        detach=detach,
        quiet=quiet,
        as_json=as_json,
    )


def _require_name(name: str) -> None:
    from common.membership.site import NAME_PATTERN

    if re.fullmatch(NAME_PATTERN, name) is None:
        raise ConfigError(
            f"--name {name!r}: want letters, digits, - and _, at most 64, the first no mark"
        )


def _begun(folder: FederationFolder, name: str) -> str:
    sites = folder.settings().sites
    active = folder.members().active_keys()
    missing = [site.name for site in sites if site.name not in active]
    absent = f"; not enrolled yet: {', '.join(missing)}" if missing else ""
    return f"run {name} is submitted to {len(sites)} planned sites{absent}"
