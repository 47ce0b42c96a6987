"""Whether our two dates of a subject lie on each other as well as the pair its site gave.

    python -m benchmarks.registration_check SITES --out FOLDER

SITES is the folder with `ljubljana-long`. For both of its subjects with two dates: the raw FLAIRs
are registered to their halfway space, that space rigidly to the grid of the site's own pair, and
each date is resampled once, linearly, with its moves composed. Prints the normalized mutual
information (64 bins, inside the site's brain mask) of both pairs, the ratio that must be at least
0.99, and the time of each registration. Draws the change mask over our second date, a PNG a
subject: `registration-SUBJECT.png`.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.arrays import BoolArray, FloatArray
from common.errors import GeometryError
from common.imaging.grid import Grid
from common.imaging.mutual_information import entropy, joint_histogram
from common.imaging.preprocessing.halfway_space import halfway
from common.imaging.preprocessing.resampling import resampled
from common.imaging.preprocessing.rigid_registration import RigidMove, rigid_inverse, rigid_move
from common.imaging.preprocessing.working_case import WorkingImage
from common.imaging.volume import Volume, read_mask, read_volume

SUBJECTS = ("LJLG01", "LJLG19")
BOUND = 0.99
N_SLICES = 5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TwoDates:
    """What the site has of one subject.

    raw      FLAIR of both dates, scanner space
    given    the site's own pair, stripped, on the common grid
    brain, changes   bool, on the common grid
    """

    raw: tuple[Volume, Volume]
    given: tuple[Volume, Volume]
    brain: Volume
    changes: Volume


def main(argv: Sequence[str] | None = None) -> int:
    """0 when both subjects hold the bound, else 1."""
    options = build_parser().parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"{platform.node()}, {platform.machine()}, one thread")
    ratios = [check(subject, options.sites, options.out) for subject in SUBJECTS]
    return 0 if min(ratios) >= BOUND else 1


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sites", type=Path, help="folder that holds ljubljana-long")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    return parser


def normalized_mutual_information(
    a: NDArray[Any], b: NDArray[Any], mask: BoolArray, n_bins: int = 64
) -> float:
    """(H(a) + H(b)) / H(a, b) inside `mask`: 1 where neither tells of the other, 2 where each
    decides the other.

    a, b      (i, j, k), any real type, on one grid
    mask      (i, j, k)
    n_bins    of equal width from the lowest to the highest value of each image inside the mask

    1 where both hold one value, for nothing is told. GeometryError: shapes that differ or an empty
    mask.
    Source  Studholme et al. 1999, doi:10.1016/S0031-3203(98)00091-0. The bins are chosen.
    """
    if not a.shape == b.shape == mask.shape:
        raise GeometryError(
            "want two images and a mask of one shape, got "
            f"{a.shape}, {b.shape} and {mask.shape}. Resample them onto one grid."
        )
    if not mask.any():
        raise GeometryError("want a mask with voxels to compare the images in, got an empty one")
    joint = joint_histogram(a[mask], b[mask], n_bins=n_bins)
    both = entropy(joint)
    return (entropy(joint.sum(1)) + entropy(joint.sum(0))) / both if both > 0 else 1.0


def check(subject: str, sites: Path, out: Path) -> float:
    """Our pair's normalized mutual information over that of the given pair; prints and draws."""
    dates = read_dates(sites / "ljubljana-long", subject)
    print(subject)
    ours = our_pair(dates)
    inside = dates.brain.data
    given = normalized_mutual_information(dates.given[0].data, dates.given[1].data, inside)
    found = normalized_mutual_information(ours[0].data, ours[1].data, inside)
    print(
        f"  NMI: given {given:.4f}, ours {found:.4f}, ratio {found / given:.4f} (at least {BOUND})"
    )
    draw(ours[1], dates.changes, out / f"registration-{subject}.png", title=subject)
    return found / given


def read_dates(site: Path, subject: str) -> TwoDates:
    """The FLAIRs and masks of `subject`, with the names the site gave them."""
    label = f"sub-{subject}"
    lesions = site / "derivatives" / "lesions" / label / "anat" / f"{label}_space-common_desc"

    def raw(session: str) -> Volume:
        return read_volume(site / label / session / "anat" / f"{label}_{session}_FLAIR.nii.gz")

    def given(session: str) -> Volume:
        folder = site / "derivatives" / "coreg" / label / session / "anat"
        return read_volume(folder / f"{label}_{session}_space-common_desc-brain_FLAIR.nii.gz")

    return TwoDates(
        raw=(raw("ses-01"), raw("ses-02")),
        given=(given("ses-01"), given("ses-02")),
        brain=read_mask(Path(f"{lesions}-brain_mask.nii.gz")),
        changes=read_mask(Path(f"{lesions}-newlesion_mask.nii.gz")),
    )


def our_pair(dates: TwoDates) -> tuple[Volume, Volume]:
    """Both dates on the given grid, each interpolated once."""
    first, second = dates.raw
    pair = timed("first to second date", second, first, None)
    first_halfway, second_halfway = halfway(pair.matrix)
    in_halfway = Volume(second.data, second_halfway @ second.affine)
    to_given = timed("halfway space to the given grid", dates.given[1], in_halfway, dates.brain)
    grid = Grid.of(dates.brain)

    def onto(image: Volume, to_halfway: FloatArray) -> Volume:
        moved = WorkingImage(volume=image, to_common=to_given.matrix @ to_halfway)
        return resampled(moved, grid, interpolation="linear")

    assert np.allclose(rigid_inverse(second_halfway) @ first_halfway, pair.matrix)
    return onto(first, first_halfway), onto(second, second_halfway)


def timed(what: str, fixed: Volume, moving: Volume, mask: Volume | None) -> RigidMove:
    wall, cpu = time.perf_counter(), time.process_time()
    move = rigid_move(fixed, moving, fixed_mask=mask)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"  {what}: {wall:.1f} s (CPU {cpu:.1f} s), mutual information {move.before:.3f} -> "
        f"{move.mutual_information:.3f}, shift {move.shift_mm:.1f} mm, turn "
        f"{move.turn_degrees:.1f} degrees; {'; '.join(move.doubts()) or 'no doubts'}"
    )
    return move


def draw(image: Volume, changes: Volume, path: Path, *, title: str) -> None:
    """The slices with most changes: the image above, with the outlines of the changes below."""
    from matplotlib.figure import Figure  # slow to import

    per_slice = changes.data.sum(axis=(0, 1))
    slices = sorted(np.argsort(per_slice, kind="stable")[-N_SLICES:].tolist())
    black, white = np.percentile(image.data[image.data > 0], (1, 99.5))
    figure = Figure(figsize=(4 * N_SLICES, 8), facecolor="black", layout="tight")
    rows = figure.subplots(2, N_SLICES)
    spacing = image.spacing_mm
    for column, k in enumerate(slices):
        for row in rows[:, column]:
            plane = image.data[::-1, :, k].T  # on this grid i runs to the left, j to the back
            row.imshow(plane, cmap="gray", vmin=black, vmax=white, aspect=spacing[1] / spacing[0])
            row.set_axis_off()
        rows[1, column].contour(changes.data[::-1, :, k].T, [0.5], colors="red", linewidths=1)
        rows[0, column].set_title(f"{title}, slice {k}", color="white")
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    sys.exit(main())
