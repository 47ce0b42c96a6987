"""An image resampled from the common space back to the scanner's grid."""

from __future__ import annotations

from typing import Literal

import numpy as np

from common.arrays import FloatArray
from common.imaging.grid import Grid
from common.imaging.preprocessing.resampling import resampled
from common.imaging.preprocessing.working_case import WorkingImage
from common.imaging.volume import Volume


def back_to_scanner(
    image: Volume,
    move: FloatArray,
    scanner: Grid,
    *,
    interpolation: Literal["linear", "nearest"],
) -> Volume:
    """The image on the scanner's grid, 0 beyond the image's own.

    image           on a grid of the common space
    move            (4, 4), rigid: RAS+ world mm of the scanner -> RAS+ world mm of the common
                    space, as the chain recorded it for the image
    scanner         the grid to go back to
    interpolation   nearest: each voxel the nearest one's value and type, for bool and labels
    """
    inverse = np.asarray(np.linalg.inv(move), dtype=np.float64)
    seen_from_scanner = WorkingImage(volume=image, to_common=inverse)
    back = resampled(seen_from_scanner, scanner, interpolation=interpolation)
    if interpolation == "linear":
        return back
    return Volume(back.data.astype(image.data.dtype, copy=False), back.affine)
