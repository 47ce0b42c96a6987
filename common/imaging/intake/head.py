"""Which voxels of an image show the head: a threshold, for heuristics that look at its outline."""

from __future__ import annotations

import cc3d
import numpy as np
from scipy import ndimage

from common.arrays import BoolArray
from common.imaging.volume import Volume

HEAD_LEVEL = 0.15
"""Part of the bright end of the values, above which a voxel is head and not air; chosen."""


def head_mask(image: Volume) -> BoolArray:
    """The head in `image`, (i, j, k): bright voxels, opened, the largest component. May be empty.

    Meant for a thumbnail: holes and noise at the skin do not matter there.
    """
    bright = image.data[image.data > 0]
    if not bright.size:
        return np.zeros(image.data.shape, np.bool_)
    level = HEAD_LEVEL * float(np.percentile(bright, 95))
    head = ndimage.binary_opening(image.data > level)
    largest: BoolArray = cc3d.largest_k(head, k=1, connectivity=6) > 0
    return largest
