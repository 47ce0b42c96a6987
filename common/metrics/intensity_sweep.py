"""Dice of one image against its reference at many intensity thresholds at once: the baseline's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from common.arrays import BoolArray, FloatArray


def dice_by_threshold(
    image: npt.NDArray[np.floating],
    brain: BoolArray,
    lesions: BoolArray,
    thresholds: Sequence[float],
) -> FloatArray:
    """Dice of `image > threshold` inside the brain, for each threshold.

    image, brain, lesions   (i, j, k); lesions hold at least one voxel, in the brain or not
    returns                 (len(thresholds),)

    Sorted once: the voxels above a threshold are the tail of the order.
    """
    inside = np.sort(image[brain])
    of_lesions = np.sort(image[brain & lesions])
    n_found = inside.size - np.searchsorted(inside, thresholds, side="right")
    n_right = of_lesions.size - np.searchsorted(of_lesions, thresholds, side="right")
    dice: FloatArray = 2 * n_right / (n_found + int(lesions.sum()))
    return dice
