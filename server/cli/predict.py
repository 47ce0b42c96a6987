"""`lesionfed predict`: lesions of one case, with the shipped model or another."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.cli.output_paths import require_input_files, require_output_files
from common.errors import ConfigError
from server.cli.options import Overwrite, ShippedUnlessNamed, model_or_shipped, named_files

if TYPE_CHECKING:
    from server.evaluation.predict import CordFile


def predict(
    out: Annotated[Path, typer.Option(help="The lesion mask to write, .nii.gz.")],
    flair: Annotated[list[Path] | None, typer.Option(help="The FLAIR, NIfTI.")] = None,
    t1: Annotated[list[Path] | None, typer.Option(help="The T1w, NIfTI.")] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODALITY=FILE",
            help="Any other image, such as T2w=t2w.nii.gz. Repeat for each; of two dates "
            "FLAIR-1=.. and FLAIR-2=..",
        ),
    ] = None,
    model: ShippedUnlessNamed = None,
    probability: Annotated[
        Path | None, typer.Option(help="A probability map to write as well, .nii.gz.")
    ] = None,
    brain_mask: Annotated[
        Path | None, typer.Option(help="Needed unless the images are stripped, or raw.")
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="The images are the scanner's: prepare them as the recipe says."
        ),
    ] = False,
    centreline: Annotated[
        Path | None,
        typer.Option(help="With --raw, of a cord: its nodes in mm, x_mm, y_mm and z_mm, .tsv."),
    ] = None,
    cord_mask: Annotated[
        Path | None, typer.Option(help="In place of --centreline: a mask of the cord, .nii.gz.")
    ] = None,
    overwrite: Overwrite = False,
    quiet: Annotated[bool, typer.Option(help="No sign of progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was found, as JSON.")] = False,
    stray: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Writes a lesion mask on the images' own grid; the model's stored template is used.

    Prepared images share one grid and are stripped. With --raw each has its own grid and its skull:
    the chain of the model's recipe runs first, and the mask comes back on the grid of the model's
    first modality, of two dates the later one's. That takes a minute or two. A model of the spinal
    cord then needs --centreline or --cord-mask. Research use, not a medical device.
    """
    from rich.console import Console

    from common.imaging.volume import NIFTI_SUFFIXES, write_volume
    from common.model_file import RESEARCH_USE, read_model
    from common.recipe.task_labels import task_labels
    from server.evaluation.given_images import SHORT_OPTIONS
    from server.evaluation.predict import predict as predict_prepared
    from server.evaluation.predict import predict_raw

    if stray:
        raise ConfigError(
            f"{' '.join(stray)}: want every file with its option. Write --model FILE for a model; "
            "without it, the model that comes with LesionFed is used."
        )
    files = _images(flair or [], t1 or [], image or [])
    model = model_or_shipped(model)
    reads = {
        "--model": model,
        **{SHORT_OPTIONS.get(name, f"--image {name}"): path for name, path in files.items()},
        "--brain-mask": brain_mask,
        "--centreline": centreline,
        "--cord-mask": cord_mask,
    }
    cord = _cord(centreline, cord_mask, raw=raw)
    require_input_files(reads)
    require_output_files(
        {"--out": out, "--probability": probability},
        reads=reads,
        overwrite=overwrite,
        endings=NIFTI_SUFFIXES,
    )
    loaded = read_model(model)
    doing = "preparing and segmenting" if raw else "segmenting"
    with Console(stderr=True, quiet=quiet or as_json).status(doing):
        if raw:
            prediction = predict_raw(loaded, files, brain_mask, cord)
        else:
            prediction = predict_prepared(loaded, files, brain_mask)
    write_volume(prediction.mask, out)
    if probability is not None:
        write_volume(prediction.probability, probability)
    for note in (*prediction.notes, RESEARCH_USE):
        print(f"note: {note}", file=sys.stderr)
    volume_ml = float(prediction.mask.data.sum() * prediction.mask.voxel_volume_mm3 / 1000)
    if as_json:
        print(
            json.dumps({"mask": str(out), "lesion_volume_ml": volume_ml, "notes": prediction.notes})
        )
    else:
        words = task_labels(loaded.recipe.task, loaded.recipe.preprocessing)
        print(f"{out}: {volume_ml:.2f} mL of {words.lesion}")


def _images(flair: list[Path], t1: list[Path], others: list[str]) -> dict[str, Path]:
    """Channel -> file; ConfigError where an image is given twice, or by the option of others."""
    from server.evaluation.given_images import SHORT_OPTIONS, option_of

    files = {}
    for channel, given in (("FLAIR", flair), ("T1w", t1)):
        if len(given) > 1:
            raise ConfigError(
                f"{SHORT_OPTIONS[channel]}: want one file, got {', '.join(map(str, given))}. Of "
                f"two dates give --image {channel}-1=FILE and --image {channel}-2=FILE."
            )
        if given:
            files[channel] = given[0].expanduser()
    for channel, path in named_files(others, option="--image").items():
        if channel in SHORT_OPTIONS:
            raise ConfigError(
                f"--image {channel}={path}: this image has an option of its own. Write "
                f"{SHORT_OPTIONS[channel]} {path}"
            )
        files[channel] = path
    if not files:
        raise ConfigError(f"want at least one image, such as {option_of('FLAIR')}, got none")
    return files


def _cord(centreline: Path | None, mask: Path | None, *, raw: bool) -> CordFile | None:
    """The one file that says where the cord is; None where there is none."""
    from server.evaluation.predict import CordFile

    if centreline is None and mask is None:
        return None
    if not raw:
        raise ConfigError(
            "--centreline and --cord-mask are for --raw: prepared images are zero outside the "
            "cord's surroundings. Leave them out, or add --raw."
        )
    if centreline is not None and mask is not None:
        raise ConfigError("want one of --centreline and --cord-mask, got both. Leave one out.")
    return CordFile(centreline=centreline, mask=mask)
