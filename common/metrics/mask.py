"""From the values of an image to a mask: which voxels are lesion, small lesions left out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from common.arrays import BoolArray
from common.errors import SiteDataError
from common.metrics.whole_numbers import WHOLE_TOLERANCE, nearly_whole

OVERSHOOT = 0.25
"""How far below 0 or above 1 a probability may lie that a spline has resampled. Chosen."""

MOST_LABELS = 10
"""More labels than these may as well be a probability map in whole numbers. Chosen."""


def lesion_mask(
    values: NDArray[Any], *, name: str, threshold: float | None = None
) -> tuple[BoolArray, list[str]]:
    """True where `values` mean lesion, and notes for the reader on how they were interpreted.

    values     (i, j, k), any real type: whole numbers are labels, and every label other than 0 is
               lesion, those that are missed by a rounding error too (`nearly_whole`); anything else
               is a probability map
    name       what errors and notes call the image
    threshold  a probability above this is lesion; whole numbers are labels with or without it
    returns    (i, j, k) with i fastest in memory, as NIfTI is read; and the notes

    A mask that is true everywhere marks nothing and counts as empty, as in the MSSEG tool.
    SiteDataError: a value that is not a finite real number, or probabilities and no threshold.
    """
    notes: list[str] = []
    values = np.asfortranarray(values)  # so that the flat views below cost nothing
    whole = _whole(values, name, threshold)
    if whole is not None:
        mask = whole if whole.dtype == np.bool_ else whole != 0
        labels = _labels(whole, mask)
        if len(labels) > 1:
            listed = ", ".join(f"{label:g}" for label in labels[:5])
            more = ", ..." if len(labels) > 5 else ""
            notes.append(f"{name}: {len(labels)} labels ({listed}{more}) taken together as lesion")
            if threshold is not None and len(labels) > MOST_LABELS:
                notes.append(
                    f"{name}: the threshold of {threshold:g} is not put on whole numbers; if this "
                    "is a map in percent or of 0 to 255, score its values divided by 100 or 255"
                )
        if labels and labels[0] < 0:
            notes.append(f"{name}: labels below 0, as low as {labels[0]:g}, taken as lesion too")
    elif threshold is None:
        raise SiteDataError(
            f"{name}: want a mask of whole numbers, found values between {values.min():g} and "
            f"{values.max():g} with fractions. Give a threshold if it is a probability map, "
            "or resample the mask with nearest neighbour."
        )
    else:
        mask = values > threshold
        notes.append(f"{name}: a probability map; lesion is above {threshold:g}")
        least, most = float(values.min()), float(values.max())
        if least < -OVERSHOOT or most > 1 + OVERSHOOT:
            notes.append(
                f"{name}: values between {least:g} and {most:g} are no probabilities; if the map "
                "is in percent or is a network's raw output, make it one of 0 to 1 and score that"
            )
    if mask.size and 2 * np.count_nonzero(mask) > mask.size and not mask.all():
        notes.append(f"{name}: lesion in more than half of all voxels: is the mask inverted?")
    if mask.size and mask.all():
        notes.append(f"{name}: lesion in every voxel, which marks nothing; counted as empty")
        mask = np.zeros_like(mask)
    return mask, notes


def without_small_lesions(mask: BoolArray, min_voxels: int) -> BoolArray:
    """The mask's lesions of at least `min_voxels` voxels, 26-connected; the mask itself for 1.

    Source   Galassi 2019 drops those under 20 voxels. The connectivity is chosen.
    """
    if min_voxels == 1:
        return mask
    lesions, _ = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    large_enough = np.bincount(lesions.ravel()) >= min_voxels
    large_enough[0] = False
    kept: BoolArray = large_enough[lesions]
    return kept


def least_voxels(smallest_mm3: float, voxel_volume_mm3: float) -> int:
    """How many voxels have at least this volume; 1 for 0 mm3. A lesion of exactly it is kept."""
    return max(1, math.ceil(smallest_mm3 / voxel_volume_mm3 - 1e-6))


def _whole(values: NDArray[Any], name: str, threshold: float | None) -> NDArray[Any] | None:
    """The values as whole numbers, or None where they are a probability map.

    A threshold that lies within the tolerance itself is put on the values as they are.
    """
    if values.dtype.kind in "biu":
        return values
    if values.dtype.kind != "f":
        raise SiteDataError(f"{name}: want real numbers, found type {values.dtype}")
    n_bad = values.size - np.count_nonzero(np.isfinite(values))
    if n_bad:
        raise SiteDataError(
            f"{name}: want a finite number in every voxel, found {n_bad} NaN or infinite voxels. "
            "Where there is no lesion, 0 belongs."
        )
    whole: NDArray[Any] = np.rint(values)
    between = threshold is None or WHOLE_TOLERANCE <= threshold <= 1 - WHOLE_TOLERANCE
    is_whole = nearly_whole(values, whole) if between else np.array_equal(values, whole)
    return whole if is_whole else None


def _labels(values: NDArray[Any], mask: BoolArray) -> list[float]:
    """The values under `mask`, rising, each once."""
    if values.dtype == np.bool_:
        return [1.0] if mask.any() else []
    return [float(v) for v in np.unique(values.ravel(order="F")[mask.ravel(order="F")])]
