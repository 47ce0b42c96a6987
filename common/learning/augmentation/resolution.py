"""What a scanner of a lower resolution makes of a line of voxels, as a matrix for each axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import fft

from common.arrays import Float32Array, FloatArray

BLUR, MOST_BLUR_VOXELS = 0.5, 1.0
"""Probability; the Gaussian's standard deviation is drawn from 0 to this, for each axis apart."""

SLICES, SLICE_VOXELS = 0.5, (2.0, 6.0)
"""Probability; thickness. On a grid of 1 mm the slices of 2 to 6 mm of two-dimensional FLAIR."""

IN_PLANE, MOST_PLANE_VOXELS = 0.25, 2.0
"""Probability; the acquired voxel's side in the slice's plane is drawn from 1 to this."""

RINGING, KEPT_FREQUENCIES = 0.125, (0.5, 0.8)
"""Probability; share of the frequencies along one axis that are kept, from the lowest up."""


def drawn_resolution(shape: Sequence[int], random: np.random.Generator) -> list[FloatArray | None]:
    """A matrix (n, n) for each axis of n voxels; None along an axis that stays as it is.

    Source   slices and resolution drawn anew for each image: Billot et al. 2023 (SynthSeg),
             arXiv:2107.09559.
    Chosen   every way and range above. The slices lie across any of the axes, each as likely, and
             begin anywhere; thickness and the distance between slices are the same.

    Sizes are in voxels, whatever the recipe's spacing.
    """
    of_axes: list[list[FloatArray]] = [[], [], []]
    if random.random() < BLUR:
        for axis, width in enumerate(random.uniform(0, MOST_BLUR_VOXELS, 3)):
            of_axes[axis].append(gaussian_matrix(shape[axis], width))
    if random.random() < RINGING:
        axis = int(random.integers(3))
        of_axes[axis].append(ringing_matrix(shape[axis], random.uniform(*KEPT_FREQUENCIES)))
    across = int(random.integers(3))
    if random.random() < SLICES:
        thickness, position = random.uniform(*SLICE_VOXELS), random.random()
        of_axes[across].append(slice_matrix(shape[across], thickness, position=position))
    if random.random() < IN_PLANE:
        side = random.uniform(1, MOST_PLANE_VOXELS)
        for axis in {0, 1, 2} - {across}:
            matrix = slice_matrix(shape[axis], side, position=random.random())
            of_axes[axis].append(matrix)
    return [_in_turn(matrices) for matrices in of_axes]


def along_axes(image: Float32Array, matrices: Sequence[FloatArray | None]) -> Float32Array:
    """The image (i, j, k) with each line along an axis replaced by the matrix times the line."""
    first, second, third = (
        None if matrix is None else matrix.astype(np.float32) for matrix in matrices
    )
    if first is not None:
        image = (first @ image.reshape(len(image), -1)).reshape(image.shape)
    if second is not None:
        image = second @ image
    if third is not None:
        image = image @ third.T
    return image


def gaussian_matrix(n: int, width_voxels: float) -> FloatArray:
    """The mean about each of n voxels, weighted by a Gaussian of this standard deviation.

    width_voxels   0 leaves the line as it is. At an end the mean is over the voxels that there are
    """
    if width_voxels < 1e-3:
        return np.eye(n)
    distance = np.subtract.outer(np.arange(n), np.arange(n)) / width_voxels
    # farther weights are too small for float32, and would make the multiplication very slow
    weights = np.where(abs(distance) < 5, np.exp(-(distance**2) / 2), 0)
    mean: FloatArray = weights / weights.sum(1, keepdims=True)
    return mean


def slice_matrix(n: int, thickness: float, *, position: float) -> FloatArray:
    """n voxels as a scan of thicker slices would show them: averaged, and enlarged again.

    thickness   of a slice, and from one to the next, in voxels, 1 or more
    position    of the line's first edge in the first slice, as a share of it, in [0, 1)

    Each slice is the mean of the voxels that it covers, by how much of them; a voxel lies between
    the middles of two slices and takes both by its distance to them, or that of the last one where
    there is none beyond. A thickness of 1 at position 0 leaves the line as it is.
    """
    edges = np.arange(-position * thickness, n, thickness, dtype=np.float64)
    voxel = np.arange(n)
    covered = np.minimum(edges[:, None] + thickness, voxel + 1) - np.maximum(edges[:, None], voxel)
    averaging = np.maximum(covered, 0)
    averaging /= averaging.sum(1, keepdims=True)
    place = np.clip((voxel + 0.5 - edges[0]) / thickness - 0.5, 0, len(edges) - 1)
    distance = np.abs(np.subtract.outer(place, np.arange(len(edges))))
    enlarging = np.maximum(1 - distance, 0)
    both: FloatArray = enlarging @ averaging
    return both


def ringing_matrix(n: int, kept: float) -> FloatArray:
    """A line of n voxels without its highest frequencies, with ripples beside each edge.

    kept   share of the frequencies, at least the lowest stays

    The ends are mirrored. Source: Gibbs ringing, of the finite part of k-space that is read.
    """
    waves = fft.dct(np.eye(n), norm="ortho", axis=0)[: max(1, round(kept * n))]
    ringing: FloatArray = waves.T @ waves
    return ringing


def _in_turn(matrices: Sequence[FloatArray]) -> FloatArray | None:
    """One matrix for several that follow each other."""
    if not matrices:
        return None
    product = matrices[0]
    for matrix in matrices[1:]:
        product = matrix @ product
    return product
