"""lesionfed phantom: a consortium of made-up hospitals to try things on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from common.cli.output_paths import require_output_folder
from common.errors import ConfigError


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
    consortium: Annotated[
        bool,
        typer.Option(
            "--consortium",
            help="The consortium benchmark: 6 training sites, 1 validation site and 2 unseen "
            "ones outside the training sites' range, at 1 mm; consortium.json says what each is.",
        ),
    ] = False,
    sites: Annotated[
        int | None,
        typer.Option(
            min=1, help="Sites, each with its own scanner.", show_default="4; --consortium has 9"
        ),
    ] = None,
    subjects: Annotated[int, typer.Option(min=1, help="Subjects a site.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same images.")] = 0,
    spacing: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            max=4.0,
            help="Voxel size of the images, mm; of cords at most 2.",
            show_default="brains 2, cords 1, --consortium 1",
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
    without_masks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MASK",
            help="A mask of --lesion-masks to leave out, such as that of a patient on whom the "
            "model will be judged: a number in the file's name, a pattern of it, or the path of a "
            "mask or a folder anywhere, whose voxels are compared. Repeatable.",
            show_default=False,
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

    from common.phantom.benchmark_consortium import SPACING_MM as BENCHMARK_SPACING_MM
    from common.phantom.benchmark_consortium import make_benchmark
    from common.phantom.benchmark_sites import ROLES
    from common.phantom.recipe_phantoms import kind_of, make_phantoms
    from common.recipe.recipe import load_recipe

    wanted = load_recipe(recipe)
    require_output_folder(
        "--out", out, reads={"--anatomies": anatomies, "--lesion-masks": lesion_masks}
    )

    left_out = without_masks or []
    if consortium and sites is not None:
        raise ConfigError(
            f"--consortium has {len(ROLES)} sites of its own, and --sites is {sites}. "
            "Leave one of the two out."
        )
    if consortium and kind_of(wanted) != "brain":
        raise ConfigError(
            f"recipe {wanted.name} wants {kind_of(wanted)} phantoms, and --consortium has brains "
            "scanned once. Choose another recipe, or leave --consortium out."
        )
    n_sites = len(ROLES) if consortium else sites or 4

    progress = Progress(
        TextColumn("phantoms"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[site]}"),
        console=Console(stderr=True),
        disable=quiet or as_json,
    )
    with progress:
        bar = progress.add_task("phantoms", total=n_sites * subjects, site="")

        def advance(site: str, _: str) -> None:
            progress.update(bar, advance=1, site=site)

        if consortium:
            folders = make_benchmark(
                out,
                n_subjects=subjects,
                seed=seed,
                spacing_mm=spacing or BENCHMARK_SPACING_MM,
                anatomies=anatomies,
                lesion_masks=lesion_masks,
                without_masks=left_out,
                on_subject=advance,
            )
        else:
            folders = make_phantoms(
                out,
                recipe=wanted,
                n_sites=n_sites,
                n_subjects=subjects,
                seed=seed,
                spacing_mm=spacing,
                anatomies=anatomies,
                lesion_masks=lesion_masks,
                without_masks=left_out,
                on_subject=advance,
            )
    if as_json:
        typer.echo(json.dumps({folder.name: str(folder) for folder in folders}, indent=2))
    elif not quiet:
        typer.echo(f"{len(folders)} sites, {subjects} subjects each, in {out}")
