"""A patient's lesions brought to a load: of a real mask some are left out, or others drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from common.phantom.anatomy import Anatomy
from common.phantom.grid import Field
from common.phantom.lesions import LesionHabit, PhantomLesions, drawn_lesions, masked_lesions

ENOUGH = 0.9
"""Share of the load from which on nothing is drawn beside the mask's lesions."""


def masked_to_load(
    mask: Field, anatomy: Anatomy, habit: LesionHabit, rng: np.random.Generator
) -> PhantomLesions:
    """The lesions of a real mask, and as many drawn ones as the patient's load wants.

    mask    (i, j, k) on the anatomy's grid, share of the voxel that is lesion
    habit   its `load_ml` is this patient's load

    Of a mask with more, lesions are left out, the largest first, as long as the load is reached
    without them. What is drawn beside a mask with less may touch the mask's lesions and merge.
    """
    voxel_ml = float(np.prod(anatomy.grid.spacing_mm)) / 1000.0
    lesions = masked_lesions(_thinned(mask, habit.load_ml / voxel_ml), anatomy, habit, rng)
    missing_ml = habit.load_ml - voxel_ml * float(lesions.fraction.sum())
    if missing_ml < (1.0 - ENOUGH) * habit.load_ml:
        return lesions
    drawn = drawn_lesions(anatomy, replace(habit, load_ml=missing_ml, spread=0.0), rng)
    return PhantomLesions(
        fraction=np.maximum(lesions.fraction, drawn.fraction),
        brightness=np.maximum(lesions.brightness, drawn.brightness),
        darkness=np.maximum(lesions.darkness, drawn.darkness),
    )


def _thinned(mask: Field, wanted: float) -> Field:
    """`mask` without its largest lesions, its sum no smaller than `wanted` voxels for that."""
    parts, n_parts = ndimage.label(mask > 0.05, structure=np.ones((3, 3, 3)))
    sums = np.bincount(parts.ravel(), mask.ravel(), minlength=n_parts + 1)
    sums[0] = 0.0
    left = float(sums.sum())
    leave_out = np.zeros(n_parts + 1, dtype=bool)
    for part in np.argsort(-sums, kind="stable"):
        if sums[part] > 0 and left - sums[part] >= wanted:
            leave_out[part] = True
            left -= float(sums[part])
    thinned: Field = np.where(leave_out[parts], 0.0, mask).astype(np.float32)
    return thinned
