"""A patient's lesions brought to a load: of a real mask some are left out, or others drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from common.phantom.anatomy import Anatomy
from common.phantom.grid import Field
from common.phantom.lesions import LesionHabit, PhantomLesions, drawn_lesions, masked_lesions

WITHIN = 0.1
"""A load is met when it is missed by no more than this share of it."""
LEAST_DRAWN_ML = 0.25
"""Less than this is not drawn beside a mask's lesions: `drawn_lesions` would give 0.5 mL."""


def masked_to_load(
    mask: Field, anatomy: Anatomy, habit: LesionHabit, rng: np.random.Generator
) -> PhantomLesions:
    """The lesions of a real mask, and as many drawn ones as the patient's load wants.

    mask    (i, j, k) on the anatomy's grid, share of the voxel that is lesion
    habit   its `load_ml` is this patient's load

    Of a mask with more, lesions are taken in random order, large and small ones alike, each that
    still fits into the load. What is drawn beside them may touch them and merge.
    """
    voxel_ml = float(np.prod(anatomy.grid.spacing_mm)) / 1000.0
    some = _thinned(mask, (1.0 + WITHIN) * habit.load_ml / voxel_ml, rng)
    lesions = masked_lesions(some, anatomy, habit, rng)
    missing_ml = habit.load_ml - voxel_ml * float(lesions.fraction.sum())
    if missing_ml < max(LEAST_DRAWN_ML, WITHIN * habit.load_ml):
        return lesions
    drawn = drawn_lesions(anatomy, replace(habit, load_ml=missing_ml, spread=0.0), rng)
    return PhantomLesions(
        fraction=np.maximum(lesions.fraction, drawn.fraction),
        brightness=np.maximum(lesions.brightness, drawn.brightness),
        darkness=np.maximum(lesions.darkness, drawn.darkness),
    )


def _thinned(mask: Field, most: float, rng: np.random.Generator) -> Field:
    """`mask` with lesions left out at random, so that its sum is no more than `most` voxels."""
    parts, n_parts = ndimage.label(mask > 0.05, structure=np.ones((3, 3, 3)))
    sums = np.bincount(parts.ravel(), mask.ravel(), minlength=n_parts + 1)
    kept = np.zeros(n_parts + 1, dtype=bool)
    total = 0.0
    for part in 1 + rng.permutation(n_parts):
        if total + sums[part] <= most:
            kept[part] = True
            total += float(sums[part])
    thinned: Field = np.where(kept[parts], mask, 0.0).astype(np.float32)
    return thinned
