"""Step 2 of the two: mean 0 and standard deviation 1."""

from __future__ import annotations

import numpy as np

from common.imaging.standardization.brain_voxels import Voxels


def z_score(voxels: Voxels) -> Voxels:
    """The intensities less their mean, divided by their standard deviation.

    voxels   (n,), inside the brain, not all equal

    Source   Galassi 2019: "mean and standard deviation". Chosen: both moments inside the mask,
             the standard deviation with n in the denominator.
    """
    scored: Voxels = (voxels - voxels.mean()) / voxels.std()
    return scored


def whole_image_z_score(voxels: Voxels, n_outside: int) -> Voxels:
    """The z-score with the zeros outside the brain counted in both moments.

    voxels      (n,), inside the brain, not all equal
    n_outside   voxels of the image outside the brain, each 0

    The result depends on how much background the image has.
    """
    n_all = voxels.size + n_outside
    mean = voxels.sum() / n_all
    square_sum = np.sum(np.square(voxels - mean)) + n_outside * mean**2
    scored: Voxels = (voxels - mean) / np.sqrt(square_sum / n_all)
    return scored
