"""`lesionfed simulate`: a whole federation on this machine."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.cli.output_paths import require_output_folder
from common.cli.signals import on_end
from common.errors import ConfigError
from server.cli.options import (
    Changes,
    Controls,
    HeldOutSites,
    LabelsAreLocal,
    LesionMasks,
    Quiet,
    RecipeName,
    ResultAsJson,
    Rounds,
    Scale,
    Seed,
    ValidationSites,
    Variant,
    named_folders,
    overrides_of,
    read_by,
    refuse_settings_beside_resume,
)
from server.cli.run_result import run_result, show_result

if TYPE_CHECKING:
    from server.run.run_folder import RunFolder


def simulate(
    recipe: RecipeName = "default",
    site: Annotated[
        list[str] | None, typer.Option(metavar="NAME=PATH", help="A site that trains. Repeatable.")
    ] = None,
    controls: Controls = None,
    validation: ValidationSites = None,
    held_out: HeldOutSites = None,
    alone: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Only this one of the sites trains, with the recipe's own rounds and steps.",
        ),
    ] = None,
    pooled: Annotated[
        bool,
        typer.Option(
            "--pooled",
            help="One training site of all --site folders, for comparison: batches mix the sites, "
            "each patch keeps its site's index, and the steps are those of all sites together.",
        ),
    ] = False,
    lesion_masks: LesionMasks = None,
    labels_are_local: LabelsAreLocal = False,
    out: Annotated[Path, typer.Option(help="The run folder to make.")] = Path("runs/simulation"),
    resume: Annotated[
        Path | None, typer.Option(help="A run folder to resume; no other setting is accepted.")
    ] = None,
    rounds: Rounds = None,
    scale: Scale = "full",
    variant: Variant = None,
    seed: Seed = None,
    set_: Changes = None,
    images: Annotated[
        bool, typer.Option(help="Whether the report holds pictures of the held-out cases.")
    ] = True,
    quiet: Quiet = False,
    as_json: ResultAsJson = False,
) -> None:
    """Trains over several sites on this machine and judges the result on unseen ones."""
    from server.run.pooled_site import POOLED_DATA, pooled_recipe
    from server.run.run_folder import RunFolder
    from server.simulate import lay_out

    if resume is not None:
        refuse_settings_beside_resume()
        folder = RunFolder(resume)
    else:
        from common.recipe.recipe import load_recipe

        overrides = overrides_of(set_, rounds=rounds, seed=seed)
        sites = named_folders(site or [], option="--site")
        if not sites:
            raise ConfigError("want at least one --site NAME=PATH")
        if alone is not None and alone not in sites:
            raise ConfigError(f"--alone {alone}: want one of the sites {', '.join(sites)}")
        if pooled and alone is not None:
            raise ConfigError("--pooled takes every --site, and --alone one of them; want one")
        if alone is not None:
            sites = {alone: sites[alone]}
        others = {
            "--controls": named_folders(controls or [], option="--controls"),
            "--validation": named_folders(validation or [], option="--validation"),
            "--held-out": named_folders(held_out or [], option="--held-out"),
        }
        folder = RunFolder(out)
        reads = read_by({"--site": sites, **others})
        require_output_folder("--out", out, reads=reads)
        folder.require_new()
        loaded = load_recipe(recipe, scale=scale, variant=variant, overrides=overrides)
        lay_out(
            folder,
            pooled_recipe(loaded, n_sites=len(sites)) if pooled else loaded,
            sites=sites,
            controls=others["--controls"],
            validation=others["--validation"],
            unseen=others["--held-out"],
            lesion_masks=lesion_masks,
            labels_are_local=labels_are_local,
            pooled_in=folder.path / POOLED_DATA / "pooled" if pooled else None,
        )
    _run_here(folder, quiet=quiet or as_json, images=images)
    if as_json:
        print(json.dumps(run_result(folder)))
    else:
        show_result(folder)


def _run_here(folder: RunFolder, *, quiet: bool, images: bool) -> None:
    from server.cli.run_progress import progress_of
    from server.simulate import MIN_SUBJECTS, simulate

    on_end(signal.default_int_handler)  # recorded as stopped, as Ctrl-C is
    n_sites = sum(site.trains for site in folder.consortium().sites)
    if not quiet:
        typer.echo(
            f"one machine, {n_sites} training site{'' if n_sites == 1 else 's'}; sums of "
            f"{MIN_SUBJECTS} subject and more may leave a site here (a hospital's default is 5)",
            err=True,
        )
    with progress_of(folder, quiet=quiet) as progress:
        simulate(folder, images=images, listener=progress)
