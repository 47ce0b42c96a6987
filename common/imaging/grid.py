"""The voxels an image is wanted on, and the nearest values of an image there."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from common.arrays import FloatArray
from common.errors import GeometryError
from common.imaging.volume import Volume


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """How many voxels, and where they lie.

    shape    voxels along i, j and k
    affine   (4, 4) float64, voxel index -> RAS+ world, mm
    """

    shape: tuple[int, int, int]
    affine: FloatArray

    def __post_init__(self) -> None:
        if not all(n > 0 for n in self.shape):
            raise GeometryError(f"want a grid with voxels along each axis, got shape {self.shape}")
        self.filled(0)  # refuses an affine that cannot be inverted

    @classmethod
    def of(cls, volume: Volume) -> Grid:
        """The grid `volume` lies on."""
        i, j, k = volume.data.shape
        return cls((i, j, k), volume.affine)

    def filled(self, value: float) -> Volume:
        """`value` in every voxel of the grid, read-only, in the memory of one voxel."""
        return Volume(np.broadcast_to(np.float32(value), self.shape), self.affine)

    def joined(self, other: Grid) -> Grid:
        """This grid made larger until it holds the other one's voxel centres as well."""
        ends = np.array(list(itertools.product(*((0, n - 1) for n in other.shape))), np.float64)
        to_first = np.linalg.inv(self.affine) @ other.affine
        index = np.round(ends @ to_first[:3, :3].T + to_first[:3, 3], 6)
        low = np.minimum(np.floor(index.min(axis=0)), 0)
        high = np.maximum(np.ceil(index.max(axis=0)), np.array(self.shape) - 1)
        i, j, k = (high - low + 1).astype(int).tolist()
        return Grid((i, j, k), self._affine_from(low))

    def cropped(self, box: tuple[slice, slice, slice]) -> Grid:
        """The part of this grid in `box`."""
        i, j, k = (part.stop - part.start for part in box)
        return Grid((i, j, k), self._affine_from([part.start for part in box]))

    def _affine_from(self, index: FloatArray | list[int]) -> FloatArray:
        """The affine of the same voxels counted from `index`."""
        affine = self.affine.copy()
        affine[:3, 3] += self.affine[:3, :3] @ index
        return affine


def nearest_onto(grid: Volume, volume: Volume) -> Volume:
    """`volume` on the grid of `grid`: each voxel takes the value of the nearest one, else 0.

    grid     whose shape and affine the result has; its values do not matter
    returns  the type of `volume`, no value that it does not hold, and 0 where the centre of a voxel
             lies outside the field of view, which reaches half a voxel beyond the outer centres

    A centre halfway between two voxels takes the one with the higher index (chosen).
    """
    to_volume = np.linalg.inv(volume.affine) @ grid.affine  # voxel index -> voxel index
    to_volume = np.round(to_volume, 9)  # else the last digits of the inverse decide the halves
    data = ndimage.affine_transform(
        volume.data,
        to_volume[:3, :3],
        offset=to_volume[:3, 3],
        output_shape=grid.data.shape,
        order=0,
        mode="grid-constant",
        cval=0,
        prefilter=False,
    )
    return Volume(data, grid.affine)
