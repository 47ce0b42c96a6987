"""Axis-aligned grids in MNI space, and the way from one to another, one axis at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import ThreadpoolController

from common.arrays import Float32Array, FloatArray
from common.errors import ConfigError

Field = Float32Array
"""A value at every voxel of a grid, (i, j, k)."""

FIELD_OF_VIEW_MM = ((-90.5, -126.5, -72.5), (91.5, 91.5, 109.5))
"""Corners of the 182 x 218 x 182 mm box of the MNI152 images, RAS+ world."""
BRAIN_BOX_MM = ((-79.0, -114.0, -74.0), (79.0, 82.0, 88.0))
"""Corners of a box that holds every brain made from the MNI template, RAS+ world."""
LABEL_MAP_BOX_MM = ((-82.0, -126.5, -86.0), (82.0, 90.0, 96.0))
"""Corners of a box that holds brains made from label maps, which are longer than the template: 14
of them reach from -121 to 85 mm back to front before they are deformed."""
Corners = tuple[tuple[float, float, float], tuple[float, float, float]]
_BLAS = ThreadpoolController()
FINEST_MM = 1.0
"""Spacing of the bundled template: a finer grid would hold nothing more."""


@dataclass(frozen=True, slots=True)
class PhantomGrid:
    """Voxels in rows along the patient's right, front and top.

    first_mm     centre of voxel (0, 0, 0), RAS+ world
    spacing_mm   along i, j and k
    shape        voxels along i, j and k
    """

    first_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]

    @property
    def affine(self) -> FloatArray:
        """(4, 4), voxel index -> RAS+ world, mm; diagonal."""
        affine: FloatArray = np.diag([*self.spacing_mm, 1.0])
        affine[:3, 3] = self.first_mm
        return affine

    def axis_mm(self, axis: int) -> FloatArray:
        """World coordinate of each voxel centre along one axis."""
        centres: FloatArray = self.first_mm[axis] + self.spacing_mm[axis] * np.arange(
            self.shape[axis], dtype=np.float64
        )
        return centres

    def coordinates_mm(self) -> tuple[Field, Field, Field]:
        """x, y and z of the voxels, each shaped to broadcast over the grid."""
        x, y, z = (self.axis_mm(axis).astype(np.float32) for axis in range(3))
        return x[:, None, None], y[None, :, None], z[None, None, :]


def common_grid(spacing_mm: float) -> PhantomGrid:
    """The grid every image of a phantom consortium comes on: the MNI field of view.

    spacing_mm   0.5 to 4, equal along the three axes
    """
    if not 0.5 <= spacing_mm <= 4.0:
        raise ConfigError(f"spacing of the phantoms: want 0.5 to 4 mm, got {spacing_mm!r}")
    return covering(FIELD_OF_VIEW_MM, (spacing_mm, spacing_mm, spacing_mm))


def anatomy_grid(spacing_mm: float, box_mm: Corners = BRAIN_BOX_MM) -> PhantomGrid:
    """The grid on which a subject is made before scanners with `spacing_mm` output see it.

    Finer than the output, so that partial volumes arise by averaging; never finer than 1 mm.
    """
    fine = max(FINEST_MM, 0.75 * spacing_mm)
    return covering(box_mm, (fine, fine, fine))


def covering(
    box_mm: Corners,
    spacing_mm: tuple[float, float, float],
) -> PhantomGrid:
    """The grid whose first voxel touches the box's lower corner and which fills the box."""
    low, high = box_mm
    first = tuple(a + s / 2 for a, s in zip(low, spacing_mm, strict=True))
    shape = tuple(max(1, round((b - a) / s)) for a, b, s in zip(low, high, spacing_mm, strict=True))
    return PhantomGrid((first[0], first[1], first[2]), spacing_mm, (shape[0], shape[1], shape[2]))


def resampled(field: Field, source: PhantomGrid, target: PhantomGrid) -> Field:
    """`field` of `source` on `target`; each voxel averages over its own size where it is coarser.

    A triangle along each axis, as wide at half height as the coarser of the two spacings: linear
    interpolation towards a finer grid, a slice profile towards a coarser one. 0 outside `source`.
    """
    return sampled(field, source, target, truncation=(0.0, 0.0, 0.0))


def sampled(
    field: Field, source: PhantomGrid, target: PhantomGrid, *, truncation: Sequence[float]
) -> Field:
    """`resampled`, with a part of the triangle replaced by a sinc: k-space that ends sharply.

    truncation   along i, j and k: 0 the triangle, 1 the sinc, whose side lobes are the Gibbs lines

    The sinc's first zero lies one voxel of the coarser grid from its centre, and it ends after the
    sixth: far enough for the lines one sees, and every row still sums to 1. Chosen.
    """
    matrices = []
    for axis in range(3):
        source_mm, target_mm = source.axis_mm(axis), target.axis_mm(axis)
        width_mm = max(source.spacing_mm[axis], target.spacing_mm[axis])
        weights = triangle_weights(source_mm, target_mm, width_mm=width_mm)
        if truncation[axis] > 0:
            sinc = _sinc_weights(source_mm, target_mm, width_mm=width_mm)
            sinc *= weights.sum(axis=1, keepdims=True)
            mixed = (1.0 - truncation[axis]) * weights + truncation[axis] * sinc
            weights = mixed.astype(np.float32)
        matrices.append(weights)
    return along_axes(field, matrices)


def triangle_weights(source_mm: FloatArray, target_mm: FloatArray, *, width_mm: float) -> Field:
    """How much each source point counts at each target point: (targets, sources), rows sum to 1.

    width_mm   width of the triangle at half height; a target no source is near gets a row of 0
    """
    apart = np.abs(target_mm[:, None] - source_mm[None, :])
    weights = np.clip(1.0 - apart / width_mm, 0.0, None)
    sums = weights.sum(axis=1, keepdims=True)
    shares: Field = (weights / np.where(sums > 1e-9, sums, 1.0)).astype(np.float32)
    return shares


def smooth_noise(rng: np.random.Generator, grid: PhantomGrid, *, scale_mm: float) -> Field:
    """A random field of mean 0 and standard deviation about 1 that changes over `scale_mm`.

    White noise at knots `scale_mm` apart (a random offset to the grid), cubic B-splines between.
    """
    matrices = []
    for axis in range(3):
        centres = grid.axis_mm(axis) - grid.first_mm[axis]
        positions = centres / scale_mm + 2.0 + rng.random()
        n_knots = math.ceil(positions[-1]) + 3
        weights = _cubic_bspline(positions[:, None] - np.arange(n_knots)[None, :])
        weights /= np.sqrt(np.square(weights).sum(axis=1, keepdims=True))
        matrices.append(weights.astype(np.float32))
    knots = rng.standard_normal([m.shape[1] for m in matrices], dtype=np.float32)
    return along_axes(knots, matrices)


def along_axes(field: Field, matrices: list[Field]) -> Field:
    """`field` with one matrix applied along each of its three axes.

    On one thread: these products are small, and two threads that wait for each other were measured
    to take 18 times as long.
    """
    first, second, third = matrices
    with _BLAS.limit(limits=1, user_api="blas"):
        out = field @ third.T
        out = np.matmul(second, out)
        flat: Field = first @ out.reshape(out.shape[0], -1)
    return flat.reshape(first.shape[0], *out.shape[1:])


def _sinc_weights(source_mm: FloatArray, target_mm: FloatArray, *, width_mm: float) -> FloatArray:
    """How much each source point counts at each target point: (targets, sources), rows sum to 1."""
    apart = (target_mm[:, None] - source_mm[None, :]) / width_mm
    weights: FloatArray = np.where(np.abs(apart) < 6.0, np.sinc(apart), 0.0)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 0.1)
    return weights


def _cubic_bspline(distance: FloatArray) -> FloatArray:
    t = np.abs(distance)
    near = 2.0 / 3.0 - t**2 + t**3 / 2.0
    far = np.clip(2.0 - t, 0.0, None) ** 3 / 6.0
    return np.where(t < 1.0, near, far)
