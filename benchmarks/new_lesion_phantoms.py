"""How hard phantoms at two dates are, and how far their raters agree.

    python -m benchmarks.new_lesion_phantoms FOLDER

FOLDER is what `lesionfed phantom --recipe fenneteau2021 --out FOLDER` made. For each site: the best
mean Dice that one threshold on the difference of the z-scored FLAIRs reaches, tuned on the very
site it is scored on, over subjects with new lesions and the voxels that are brain at both dates.
For all sites together: the same, how much the lesions changed, and for every pair of raters the
mean Dice and lesion F1 (any overlap) over subjects with new lesions.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from common.arrays import BoolArray, FloatArray
from common.imaging.volume import read_mask, read_volume
from common.metrics.lesion import count_lesions
from common.metrics.presets import KAMRAOUI
from common.metrics.voxel import count_voxels

THRESHOLDS = np.arange(0.2, 5.0, 0.1)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pair:
    """One subject: (i, j, k) arrays on the grid of both dates.

    difference   z-scored FLAIR, later less earlier, 0 outside the brain of either date
    volume_ml    of one voxel
    """

    difference: FloatArray
    earlier_lesions: BoolArray
    later_lesions: BoolArray
    new: BoolArray
    raters: list[BoolArray]
    volume_ml: float

    def threshold_dice(self) -> list[float]:
        """Dice with the new lesions at each of THRESHOLDS."""
        masks = (self.difference > threshold for threshold in THRESHOLDS)
        return [count_voxels(self.new, mask).dice or 0.0 for mask in masks]

    def agreement(self) -> tuple[float, float]:
        """Mean Dice and lesion F1 over the pairs of raters."""
        spacing = 10.0 * self.volume_ml ** (1 / 3)
        dice, f1 = [], []
        for one, other in combinations(self.raters, 2):
            counts = count_lesions(
                one, other, spacing_mm=(spacing, spacing, spacing), definition=KAMRAOUI
            )
            dice.append(count_voxels(one, other).dice)
            f1.append(counts.lesion_f1)
        return _mean(dice), _mean(f1)


def read_pair(site: Path, label: str) -> Pair:
    """The subject `label` of a phantom site."""

    def mask(session: str, kind: str) -> BoolArray:
        name = f"{label}_{session}_desc-{kind}_mask.nii.gz"
        return read_mask(site / "derivatives/lesions" / label / session / "anat" / name).data > 0

    scored, brains = [], []
    for session in ("ses-01", "ses-02"):
        flair = read_volume(site / label / session / "anat" / f"{label}_{session}_FLAIR.nii.gz")
        brain = mask(session, "brain")
        values = flair.data.astype(np.float64)
        scored.append((values - values[brain].mean()) / values[brain].std())
        brains.append(brain)
    n_raters = len(list((site / "derivatives/lesions" / label).rglob("*Rater*_mask.nii.gz")))
    return Pair(
        difference=(scored[1] - scored[0]) * (brains[0] & brains[1]),
        earlier_lesions=mask("ses-01", "lesion"),
        later_lesions=mask("ses-02", "lesion"),
        new=mask("ses-02", "newlesion"),
        raters=[mask("ses-02", f"newlesionRater{n}") for n in range(1, n_raters + 1)],
        volume_ml=abs(float(np.linalg.det(flair.affine[:3, :3]))) / 1000.0,
    )


def main(argv: list[str]) -> None:
    """Print the figures of the folder named."""
    root = Path(argv[0])
    everyone: list[Pair] = []
    curves: list[list[float]] = []
    for site in sorted(root.glob("site-*")):
        pairs = [read_pair(site, folder.name) for folder in sorted(site.glob("sub-*"))]
        own = [pair.threshold_dice() for pair in pairs if pair.new.any()]
        print(f"{site.name}: best single threshold, mean Dice {_best(own):.2f}")
        everyone += pairs
        curves += own
    with_new = [pair for pair in everyone if pair.new.any()]
    print(f"all sites: best single threshold, mean Dice {_best(curves):.2f}")
    print(f"{len(everyone)} subjects, {len(with_new)} with new lesions")
    for what, volumes in (
        ("new", [p.new.sum() * p.volume_ml for p in with_new]),
        (
            "enlarged by",
            [
                np.count_nonzero(p.later_lesions & ~p.earlier_lesions & ~p.new) * p.volume_ml
                for p in everyone
            ],
        ),
        (
            "shrunk by",
            [
                np.count_nonzero(p.earlier_lesions & ~p.later_lesions) * p.volume_ml
                for p in everyone
            ],
        ),
    ):
        print(f"{what}: median {np.median(volumes):.2f} mL")
    if with_new and with_new[0].raters:
        dice, f1 = zip(*(pair.agreement() for pair in with_new), strict=True)
        print(f"pairs of raters: mean Dice {_mean(dice):.2f}, lesion F1 {_mean(f1):.2f}")


def _best(curves: list[list[float]]) -> float:
    """The mean Dice of the threshold with the highest one."""
    return float(np.mean(curves, axis=0).max())


def _mean(values: list[float | None] | tuple[float, ...]) -> float:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else float("nan")


if __name__ == "__main__":
    main(sys.argv[1:])
