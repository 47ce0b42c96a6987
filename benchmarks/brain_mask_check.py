"""How good the brain mask from the template is on real heads, in figures and in a picture.

    python -m benchmarks.brain_mask_check SITES_FOLDER --out FOLDER

For the two dates of LJLG01 the mask made on the raw FLAIR is carried, by a rigid registration to
its image in derivatives/coreg and nearest neighbour, onto the given brain mask: Dice, at least
0.93 wanted. For every other FLAIR and T1w: volume and time. `brain-masks.png` shows all outlines.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray

from common.errors import SiteDataError
from common.imaging.grid import nearest_onto
from common.imaging.preprocessing.rigid_registration import rigid_move
from common.imaging.preprocessing.template_brain_mask import template_brain_mask
from common.imaging.volume import Volume, read_mask, read_volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WANTED_DICE = 0.93
WITH_REFERENCE = ("sub-LJLG01_ses-01_FLAIR", "sub-LJLG01_ses-02_FLAIR")
SLICES = ((2, (0.08, 0.22, 0.36, 0.5, 0.64, 0.78, 0.92)), (0, (0.3, 0.5)), (1, (0.35, 0.65)))
"""Axis after turning to RAS, and places between the mask's first and last slice."""
MODALITIES = ("FLAIR", "T1w")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    drawn: list[tuple[str, Volume, Volume]] = []
    failed = False
    print(f"{'image':36} {'mL':>6} {'s':>6} {'Dice':>7}")
    for path in raw_images(arguments.sites):
        name = path.name.removesuffix(".nii.gz")
        if arguments.only and not any(part in name for part in arguments.only):
            continue
        image = read_volume(path)
        start = time.process_time()
        try:
            mask = template_brain_mask(image)
        except SiteDataError as error:
            print(f"{name:36} refused: {error}", flush=True)
            continue
        seconds = time.process_time() - start
        figure = ""
        if name in WITH_REFERENCE:
            reached = dice_with_reference(arguments.sites, name, image, mask)
            failed = failed or reached < WANTED_DICE
            figure = f"{reached:7.4f}"
        volume_ml = np.count_nonzero(mask.data) * mask.voxel_volume_mm3 / 1000
        print(f"{name:36} {volume_ml:6.0f} {seconds:6.1f} {figure}", flush=True)
        drawn.append((name, image, mask))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process {peak_mb:.0f} MB")
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw(drawn, arguments.out / "brain-masks.png")
    return int(failed)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sites", type=Path, help="folder of BIDS folders, one a site")
    parser.add_argument("--out", type=Path, required=True, help="folder for the picture")
    parser.add_argument("--only", nargs="*", help="parts of names; default all images")
    return parser


def raw_images(sites: Path) -> list[Path]:
    """FLAIR and T1w of every site, not those in derivatives."""
    return sorted(
        path
        for modality in MODALITIES
        for path in sites.glob(f"*/sub-*/**/anat/*_{modality}.nii.gz")
    )


def dice_with_reference(sites: Path, name: str, image: Volume, mask: Volume) -> float:
    """Dice of the mask, carried to the common space, and the one given there."""
    subject, session, modality = name.split("_")
    derivatives = sites / "ljubljana-long" / "derivatives"
    given = read_mask(
        derivatives / f"lesions/{subject}/anat/{subject}_space-common_desc-brain_mask.nii.gz"
    )
    folder = derivatives / "coreg" / subject / session / "anat"
    common = read_volume(folder / f"{subject}_{session}_space-common_desc-brain_{modality}.nii.gz")
    move = rigid_move(common, image, fixed_mask=given)
    there = Volume(mask.data, move.matrix @ mask.affine)
    carried = nearest_onto(given, there).data
    both = np.count_nonzero(carried & given.data)
    return 2 * both / (np.count_nonzero(carried) + np.count_nonzero(given.data))


def draw(rows: Sequence[tuple[str, Volume, Volume]], path: Path) -> None:
    """A row of slices an image, its mask outlined."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n_columns = sum(len(places) for _, places in SLICES)
    figure = Figure(figsize=(2.0 * n_columns, 2.1 * max(len(rows), 1)), facecolor="black")
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(max(len(rows), 1), n_columns, squeeze=False)
    for (name, image, mask), axes in zip(rows, all_axes, strict=False):
        draw_row(axes, name, image, mask)
    figure.subplots_adjust(0, 0, 1, 0.99, 0.01, 0.06)
    figure.savefig(path, dpi=75)


def draw_row(axes: NDArray[Any], name: str, image: Volume, mask: Volume) -> None:
    orientation: NDArray[Any] = io_orientation(image.affine)  # type: ignore[no-untyped-call] # untyped in nibabel
    data: NDArray[Any] = apply_orientation(image.data, orientation)  # type: ignore[no-untyped-call] # as above
    brain: NDArray[Any] = apply_orientation(mask.data, orientation)  # type: ignore[no-untyped-call] # as above
    spacing = image.spacing_mm[np.argsort(orientation[:, 0])]
    white = float(np.percentile(data[brain], 99.5))
    drawn = iter(axes)
    for axis, places in SLICES:
        held = np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis})))
        across, up = (spacing[other] for other in range(3) if other != axis)
        for place in places:
            n = int(held[0] + place * (held[-1] - held[0]))
            panel: Axes = next(drawn)
            panel.imshow(
                data.take(n, axis).T,
                cmap="gray",
                origin="lower",
                vmin=0,
                vmax=white,
                aspect=up / across,
            )
            panel.contour(brain.take(n, axis).T, [0.5], colors="#ffb000", linewidths=0.7)
            panel.axis("off")
    axes[0].set_title(name, fontsize=7, loc="left", color="white")


if __name__ == "__main__":
    raise SystemExit(main())
