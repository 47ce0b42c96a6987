"""People who outline new lesions and do not agree: who misses what, and whose borders lie where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.phantom.grid import Field, PhantomGrid, smooth_noise
from common.phantom.lesions import Lesion
from common.seeds import derived_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rater:
    """One person's way of outlining new lesions.

    border_mm   how far outside the true border this person draws; below 0 inside
    slip_mm     standard deviation of a further shift, drawn for each lesion
    sees_mm3    a lesion of full contrast and this volume is missed half of the time
    believes    share of the look-alikes taken for new lesions
    """

    border_mm: float
    slip_mm: float
    sees_mm3: float
    believes: float


def drawn_raters(n: int, seed: int) -> list[Rater]:
    """`n` raters, cautious to generous; the same seed draws the same ones.

    Each range is cut in `n` equal parts and every rater gets another part. All chosen, so that two
    raters' masks of new lesions have a mean Dice of 0.5 to 0.7.
    """
    rng = np.random.default_rng(derived_seed(seed, "raters"))
    border, slip, sees, believes = ((rng.permutation(n) + rng.random(n)) / n for _ in range(4))
    return [
        Rater(
            border_mm=round(float(-0.5 + border[i]), 3),
            slip_mm=round(float(0.15 + 0.25 * slip[i]), 3),
            sees_mm3=round(float(8.0 + 32.0 * sees[i]), 1),
            believes=round(float(0.03 + 0.15 * believes[i]), 3),
        )
        for i in range(n)
    ]


def rated(
    rater: Rater,
    new: Sequence[Lesion],
    look_alikes: Sequence[Lesion],
    grid: PhantomGrid,
    rng: np.random.Generator,
) -> Field:
    """The share of each voxel of `grid` that this rater calls new lesion, (i, j, k).

    new           the lesions that are new
    look_alikes   what is not, and may be taken for it
    A lesion is missed the more likely the smaller and fainter it is (chosen: a logistic curve over
    the logarithm of volume times squared contrast).
    """
    spacing = grid.spacing_mm[0]
    wobble = 0.25 * smooth_noise(rng, grid, scale_mm=4.0)
    mask = np.zeros(grid.shape, dtype=np.float32)
    for lesion, is_new in [*((a, True) for a in new), *((b, False) for b in look_alikes)]:
        called = rater.believes if not is_new else seen_share(rater, lesion, spacing)
        slip_mm = rater.slip_mm * rng.standard_normal()
        if rng.random() >= called:
            continue
        grown = (rater.border_mm + slip_mm + wobble[lesion.box]).astype(np.float32)
        drawn = lesion.fraction(spacing, grown_mm=grown)
        np.maximum(mask[lesion.box], drawn, out=mask[lesion.box])
    return mask


def seen_share(rater: Rater, lesion: Lesion, spacing_mm: float) -> float:
    """How likely this rater sees a new lesion, 0 to 1."""
    volume_mm3 = float(lesion.fraction(spacing_mm).sum()) * spacing_mm**3
    visible_mm3 = max(volume_mm3, 1e-3) * float(np.mean(lesion.bright)) ** 2
    return 1.0 / (1.0 + (rater.sees_mm3 / visible_mm3) ** 2)
