"""Patches turned by a multiple of 90 degrees."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from common.arrays import BoolArray, Float32Array
from common.errors import ConfigError


def turned_by_quarters(
    images: Float32Array, lesions: BoolArray, random: np.random.Generator
) -> tuple[Float32Array, BoolArray]:
    """Both, turned alike by 0, 90, 180 or 270 degrees in one plane.

    images    (C, i, j, k)
    lesions   (R, i, j, k)
    Source    Hussein 2023 says "90-degree rotations".
    Chosen    the plane is drawn among those whose two sides are equal, so that the patch keeps its
              shape, and the four angles are equally likely. ConfigError where no two sides are
              equal.

    A turn keeps distances only where voxels are cubes.
    """
    shape = images.shape[1:]
    planes = [(a, b) for a, b in combinations(range(3), 2) if shape[a] == shape[b]]
    if not planes:
        raise ConfigError(
            f"augmentation 'quarter-turns' needs two equal sides, got patches of shape {shape}. "
            "Change sampling.patch_shape, or take it out of sampling.augment."
        )
    first, second = planes[random.integers(len(planes))]
    n_quarters = int(random.integers(4))
    axes = (first + 1, second + 1)
    return np.rot90(images, n_quarters, axes), np.rot90(lesions, n_quarters, axes)
