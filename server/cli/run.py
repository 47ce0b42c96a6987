"""`lesionfed run`: a recipe over the hospitals of a federation."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import ConfigError
from server.cli.follow_run import follow_run
from server.cli.options import (
    Changes,
    Detach,
    Federation,
    LabelsAreLocal,
    Quiet,
    RecipeName,
    ResultAsJson,
    Rounds,
    Scale,
    Seed,
    Variant,
    overrides_of,
)

if TYPE_CHECKING:
    from server.federation.federation_folder import FederationFolder


def run(
    federation: Federation,
    recipe: RecipeName = "default",
    name: Annotated[
        str | None,
        typer.Option(help="Of the run and its folder; without it RECIPE-YYYYmmdd-HHMMSS."),
    ] = None,
    rounds: Rounds = None,
    scale: Scale = "full",
    variant: Variant = None,
    seed: Seed = None,
    set_: Changes = None,
    labels_are_local: LabelsAreLocal = False,
    detach: Detach = False,
    quiet: Quiet = False,
    as_json: ResultAsJson = False,
) -> None:
    """Trains over the federation's sites and judges the result on its unseen ones.

    Follows the run to its end; Ctrl-C only stops following. Exit code 0 when it is completed.
    """
    from common.recipe.recipe import load_recipe
    from server.federation.federation_folder import FederationFolder
    from server.flower.submission import lay_out_run, require_served, submit

    folder = FederationFolder(federation)
    folder.settings()
    overrides = overrides_of(set_, rounds=rounds, seed=seed)
    loaded = load_recipe(recipe, scale=scale, variant=variant, overrides=overrides)
    run_name = name or f"{loaded.name}-{datetime.now():%Y%m%d-%H%M%S}"
    _require_name(run_name)
    require_served(folder)
    run_folder = lay_out_run(
        folder, recipe=loaded, name=run_name, labels_are_local=labels_are_local
    )
    flower_run_id = submit(folder, run_folder)
    if not (quiet or as_json):
        typer.echo(_submitted(folder, run_name), err=True)
    follow_run(
        folder,
        run_folder,
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


def _submitted(folder: FederationFolder, name: str) -> str:
    sites = folder.settings().sites
    active = folder.members().active_keys()
    missing = [site.name for site in sites if site.name not in active]
    absent = f"; not enrolled yet: {', '.join(missing)}" if missing else ""
    return f"run {name} is submitted to {len(sites)} planned sites{absent}"
