"""lesionfed phantom: a consortium of made-up hospitals to try things on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from common.cli.output_paths import require_output_folder


def phantom(
    out: Annotated[
        Path, typer.Option(help="New or empty folder; one BIDS dataset a site is put there.")
    ],
    recipe: Annotated[
        str,
        typer.Option(
            help="Make what this recipe trains on: a name or a TOML file. FLAIR and T1w of brains; "
            "with task.target new-lesions at two dates, outlined by task.raters people; with the "
            "preprocessing step cord, T2w of spinal cords."
        ),
    ] = "default",
    sites: Annotated[int, typer.Option(min=1, help="Sites, each with its own scanner.")] = 4,
    subjects: Annotated[int, typer.Option(min=1, help="Subjects a site.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same images.")] = 0,
    spacing: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            max=4.0,
            help="Voxel size of the images, mm; of cords at most 2.",
            show_default="brains 2, cords 1",
        ),
    ] = None,
    anatomies: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder of FreeSurfer label maps to use as brains.",
            show_default="the MNI152 template, deformed",
        ),
    ] = None,
    lesion_masks: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder of lesion masks on the MNI152 1 mm grid to use as lesions of brains "
            "scanned once.",
            show_default="drawn",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object: the sites' folders.")
    ] = False,
) -> None:
    """Make phantom sites for a recipe: simulated brains or spinal cords, one scanner a site.

    Contrast, gamma, bias field, noise, resolution, slice thickness and lesion load differ by site;
    each site's phantom.json says how. Needs no data and no network.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from common.phantom.recipe_phantoms import make_phantoms
    from common.recipe.recipe import load_recipe

    wanted = load_recipe(recipe)
    require_output_folder(
        "--out", out, reads={"--anatomies": anatomies, "--lesion-masks": lesion_masks}
    )

    progress = Progress(
        TextColumn("phantoms"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[site]}"),
        console=Console(stderr=True),
        disable=quiet or as_json,
    )
    with progress:
        bar = progress.add_task("phantoms", total=sites * subjects, site="")
        folders = make_phantoms(
            out,
            recipe=wanted,
            n_sites=sites,
            n_subjects=subjects,
            seed=seed,
            spacing_mm=spacing,
            anatomies=anatomies,
            lesion_masks=lesion_masks,
            on_subject=lambda site, _: progress.update(bar, advance=1, site=site),
        )
    if as_json:
        typer.echo(json.dumps({folder.name: str(folder) for folder in folders}, indent=2))
    elif not quiet:
        typer.echo(f"{len(folders)} sites, {subjects} subjects each, in {out}")
