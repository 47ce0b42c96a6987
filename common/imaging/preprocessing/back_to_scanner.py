"""A mask taken from the common space back to the grid on which the scanner gave the image."""

from __future__ import annotations

import numpy as np

from common.imaging.grid import Grid
from common.imaging.preprocessing.resampling import resampled
from common.imaging.preprocessing.working_case import FloatArray, WorkingImage
from common.imaging.volume import Volume


def back_to_scanner(mask: Volume, move: FloatArray, scanner: Grid) -> Volume:
    """The mask on the scanner's grid, each voxel the nearest one's value, 0 beyond the mask's grid.

    mask      bool or labels, on a grid of the common space
    move      (4, 4), rigid: RAS+ world mm of the scanner -> RAS+ world mm of the common space, as
              the chain recorded it for the image
    scanner   the image's own grid
    """
    inverse = np.asarray(np.linalg.inv(move), dtype=np.float64)
    seen_from_scanner = WorkingImage(volume=mask, to_common=inverse)
    back = resampled(seen_from_scanner, scanner, interpolation="nearest")
    return Volume(back.data.astype(mask.data.dtype, copy=False), back.affine)
