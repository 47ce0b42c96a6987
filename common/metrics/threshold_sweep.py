"""One probability map against its reference, at every decision threshold of the grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.arrays import BoolArray
from common.errors import GeometryError, SiteDataError
from common.metrics.components import Spacing
from common.metrics.lesion import LesionCounts, count_lesions
from common.metrics.mask import lesion_mask, without_small_lesions
from common.metrics.presets import LesionDefinition
from common.metrics.voxel import VoxelCounts, count_voxels

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""0.05 to 0.95 in steps of 0.05 (chosen: Hussein et al. 2023 do not state their grid)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdCounts:
    """Counts of voxels and lesions where a probability above `threshold` is lesion."""

    threshold: float
    voxels: VoxelCounts
    lesions: LesionCounts


def sweep_thresholds(
    probability: NDArray[Any],
    reference: NDArray[Any],
    *,
    spacing_mm: Spacing,
    definition: LesionDefinition,
    thresholds: Sequence[float] = THRESHOLDS,
    min_voxels: int = 1,
) -> list[ThresholdCounts]:
    """The counts at each threshold, in their order: those of `score_case` at one threshold.

    probability   (i, j, k), each value from 0 to 1
    reference     (i, j, k) on the same grid: bool, or labels of any type
    spacing_mm    along i, j and k
    min_voxels    smaller lesions of the prediction are dropped, as the recipe drops them

    A mask that is true everywhere counts as empty, as in `common/metrics/mask.py`. Components are
    looked for only in the box that holds the reference and all that the lowest threshold finds.
    SiteDataError where a value is not a probability.
    """
    if probability.ndim != 3 or probability.shape != reference.shape:
        raise GeometryError(
            "want probability and reference with one shape (i, j, k), "
            f"got {probability.shape} and {reference.shape}"
        )
    if probability.dtype.kind != "f":
        probability = probability.astype(np.float64)
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        raise SiteDataError(
            "want probabilities from 0 to 1, found values between "
            f"{probability.min():g} and {probability.max():g}. Is this the network's output?"
        )
    truth, _ = lesion_mask(reference, name="reference")
    box = _box(truth | (probability > min(thresholds)))
    cropped = np.asfortranarray(probability[box])
    truth_in_box = np.asfortranarray(truth[box])
    counts = []
    for threshold in thresholds:
        found = cropped > threshold
        if np.count_nonzero(found) == probability.size:
            found = np.zeros_like(found)
        found = np.asfortranarray(without_small_lesions(found, min_voxels))
        lesions = count_lesions(truth_in_box, found, spacing_mm=spacing_mm, definition=definition)
        inside = count_voxels(truth_in_box, found)
        voxels = dataclasses.replace(inside, tn=inside.tn + probability.size - cropped.size)
        counts.append(ThresholdCounts(threshold=threshold, voxels=voxels, lesions=lesions))
    return counts


def _box(mask: BoolArray) -> tuple[slice, slice, slice]:
    """The smallest box that holds every true voxel; empty where none is."""
    if not mask.any():
        return slice(0, 0), slice(0, 0), slice(0, 0)
    places = (np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    i, j, k = (slice(int(found[0]), int(found[-1]) + 1) for found in places)
    return i, j, k
