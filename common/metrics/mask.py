"""From the values of an image to a mask: which voxels are lesion, small lesions left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from common.arrays import BoolArray
from common.errors import SiteDataError


def lesion_mask(
    values: NDArray[Any], *, name: str, threshold: float | None = None
) -> tuple[BoolArray, list[str]]:
    """True where `values` mean lesion, and notes for the reader on how they were interpreted.

    values     (i, j, k), any real type: whole numbers are labels, and every label other than 0 is
               lesion; anything else is a probability map
    name       what errors and notes call the image
    threshold  a probability above this is lesion; whole numbers are labels with or without it
    returns    (i, j, k) with i fastest in memory, as NIfTI is read; and the notes

    A mask that is true everywhere marks nothing and counts as empty, as in the MSSEG tool.
    SiteDataError: a value that is not a finite real number, or probabilities and no threshold.
    """
    notes: list[str] = []
    values = np.asfortranarray(values)  # so that the flat views below cost nothing
    if _is_whole(values, name):
        mask = values if values.dtype == np.bool_ else values != 0
        labels = _labels(values, mask)
        if len(labels) > 1:
            listed = ", ".join(f"{label:g}" for label in labels[:5])
            more = ", ..." if len(labels) > 5 else ""
            notes.append(f"{name}: {len(labels)} labels ({listed}{more}) taken together as lesion")
    elif threshold is None:
        raise SiteDataError(
            f"{name}: want a mask of whole numbers, found values between {values.min():g} and "
            f"{values.max():g} with fractions. Give a threshold if it is a probability map, "
            "or resample the mask with nearest neighbour."
        )
    else:
        mask = values > threshold
        notes.append(f"{name}: a probability map; lesion is above {threshold:g}")
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


def _is_whole(values: NDArray[Any], name: str) -> bool:
    if values.dtype.kind in "biu":
        return True
    if values.dtype.kind != "f":
        raise SiteDataError(f"{name}: want real numbers, found type {values.dtype}")
    n_bad = values.size - np.count_nonzero(np.isfinite(values))
    if n_bad:
        raise SiteDataError(
            f"{name}: want a finite number in every voxel, found {n_bad} NaN or infinite voxels. "
            "Where there is no lesion, 0 belongs."
        )
    return bool(np.array_equal(values, np.rint(values)))


def _labels(values: NDArray[Any], mask: BoolArray) -> list[float]:
    """The values under `mask`, rising, each once."""
    if values.dtype == np.bool_:
        return [1.0] if mask.any() else []
    return [float(v) for v in np.unique(values.ravel(order="F")[mask.ravel(order="F")])]
