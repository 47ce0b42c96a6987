"""The voxels of one image inside its brain mask, fit for statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from common.arrays import BoolArray, FloatArray
from common.errors import GeometryError, SiteDataError

Image = npt.NDArray[np.floating[Any] | np.integer[Any]]
BrainMask = BoolArray
Voxels = FloatArray


def brain_voxels(image: Image, brain: BrainMask) -> Voxels:
    """The intensities inside the brain, as a new one-dimensional array.

    image    (i, j, k), scanner units
    brain    (i, j, k), True inside; another shape is a GeometryError
    returns  (n,), in array order: all finite and not all equal, else SiteDataError
    """
    assert brain.dtype == np.bool_, "a mask of integers would pick voxels by number"
    if image.shape != brain.shape:
        raise GeometryError(
            f"the brain mask has shape {brain.shape} but the image has {image.shape}. "
            "Resample the mask onto the image's grid."
        )
    voxels: Voxels = image[brain].astype(np.float64)
    if voxels.size == 0:
        raise SiteDataError(
            f"the brain mask of shape {brain.shape} holds no voxel. "
            "Draw it again, or remove it so that one is made from the image."
        )
    low, high = float(voxels.min()), float(voxels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        n_odd = int(np.count_nonzero(~np.isfinite(voxels)))
        raise SiteDataError(
            f"{n_odd} of {voxels.size} voxels inside the brain mask are NaN or infinite. "
            "Export the image again."
        )
    if low == high:
        raise SiteDataError(
            f"all {voxels.size} voxels inside the brain mask equal {low:g}, so intensities cannot "
            "be standardized. Check that image and mask belong together."
        )
    return voxels
