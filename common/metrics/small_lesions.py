"""A mask without the lesions that are too small."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from common.arrays import BoolArray


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
