"""The voxels an image is wanted on, before there is an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
