"""An image brought onto another grid."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from common.imaging.volume import Volume


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
