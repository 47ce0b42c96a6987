"""lesionfed-site transplant: training subjects from a hospital's controls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from client.cli.case_bar import case_bar
from client.cli.options import AsJson, BidsFolder, Quiet
from common.cli.output_paths import require_output_folder


def transplant(
    folder: BidsFolder,
    out: Annotated[
        Path, typer.Option(help="New or empty folder for the BIDS dataset.", show_default=False)
    ],
    per_subject: Annotated[
        int,
        typer.Option(
            min=1, max=98, help="Copies with lesions of each brain; one without comes along."
        ),
    ] = 4,
    side: Annotated[
        Literal["left", "right", "both"],
        typer.Option(
            help="The half of each brain that has no lesions; the other one is cut out. both: "
            "whole brains of subjects whom participants.tsv calls healthy."
        ),
    ] = "both",
    lesion_masks: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder of real lesion masks on the MNI152 1 mm grid.",
            show_default="lesions are drawn",
        ),
    ] = None,
    without_masks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MASK",
            help="A mask to leave out, such as that of a patient on whom the model will be judged: "
            "a number in the file's name, a pattern of it, or the path of a mask or a folder "
            "anywhere, whose voxels are compared. Repeatable.",
            show_default=False,
        ),
    ] = None,
    modalities: Annotated[
        str, typer.Option(help="FLAIR, or FLAIR,T1w: what each brain must have.")
    ] = "FLAIR,T1w",
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same images.")] = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Put lesions into prepared images of healthy brains: subjects to train on, with references.

    Brightness and borders of the lesions are as measured in patients; they are blurred as the
    scanner's own slices are. OUT/transplant.json says what was put where.
    """
    from common.phantom.transplant_site import TransplantPlan, make_transplant_site

    reads = {"BIDS": folder, "--lesion-masks": lesion_masks}
    require_output_folder("--out", out, reads=reads)
    plan = TransplantPlan(
        per_subject=per_subject,
        side=side,
        lesion_masks=lesion_masks,
        without_masks=without_masks or [],
        seed=seed,
    )
    with case_bar("transplanting", show=not (as_json or quiet)) as advance:
        cases = make_transplant_site(
            folder, out, plan, modalities=tuple(modalities.split(",")), on_case=advance
        )
    if as_json:
        found = {
            f"{case.subject}_{case.session}": {
                "n_lesions": case.n_lesions,
                "lesion_ml": round(case.lesion_ml, 3),
            }
            for case in cases
        }
        typer.echo(json.dumps(found, indent=2))
    elif not quiet:
        n_subjects = len({case.subject for case in cases})
        n_with = sum(case.n_lesions > 0 for case in cases)
        typer.echo(
            f"{n_with} copies with lesions and {len(cases) - n_with} without, of {n_subjects} "
            f"subjects, in {out}. Look at some of them before training."
        )
