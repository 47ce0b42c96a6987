"""Images as a blurrier, sharper or thicker-sliced scan would show them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from common.arrays import BoolArray, Float32Array

BLUR_VOXELS = (0.5, 1.75)
"""The Gaussian's standard deviation is drawn between these."""


def with_other_quality(
    images: Float32Array, lesions: BoolArray, random: np.random.Generator
) -> tuple[Float32Array, BoolArray]:
    """Images as they are, blurred, sharpened or averaged over slices; lesions as they are.

    images    (C, i, j, k), k across the axial slices
    lesions   (R, i, j, k)
    Source    Kamraoui et al. 2022 (DeepLesionBrain), arXiv:2012.07950: Gaussian blur, edge
              enhancement, or a mean over 2 to 4 axial slices, as thicker slices would give.
    Chosen    the four ways are equally likely, one for all channels: both dates of a pair get the
              same, so that quality alone never makes a lesion new. The blur's standard deviation
              is uniform from 0.5 to 1.75 voxels. The lesions are where they were; an even number
              of slices lies half a slice before or behind the voxel, equally likely.
    """
    way = random.integers(4)
    if way == 1:
        return blurred(images, random.uniform(*BLUR_VOXELS)), lesions
    if way == 2:
        return edges_enhanced(images, random.uniform(*BLUR_VOXELS)), lesions
    if way == 3:
        n_slices = int(random.integers(2, 5))
        origin = -int(random.integers(2)) if n_slices % 2 == 0 else 0
        return averaged_over_slices(images, n_slices, origin=origin), lesions
    return images, lesions


def blurred(images: Float32Array, width_voxels: float) -> Float32Array:
    """Images after a Gaussian of this standard deviation in space; borders are mirrored."""
    found: Float32Array = ndimage.gaussian_filter(images, (0, *[width_voxels] * 3))
    return found


def edges_enhanced(images: Float32Array, width_voxels: float) -> Float32Array:
    """Images plus the detail that a Gaussian of this standard deviation removes.

    Chosen   unsharp masking with amount 1.
    """
    return 2 * images - blurred(images, width_voxels)


def averaged_over_slices(images: Float32Array, n_slices: int, *, origin: int = 0) -> Float32Array:
    """Each voxel replaced by the mean over `n_slices` about it along k; borders are mirrored.

    origin   0, or -1 for an even number of slices, which has no middle: with 0 they lie half a
             slice before the voxel, with -1 half a slice behind it
    """
    found: Float32Array = ndimage.uniform_filter1d(images, n_slices, axis=3, origin=origin)
    return found
