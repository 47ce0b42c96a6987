"""Which way the voxel axes of an image run, and the image turned upright."""

from __future__ import annotations

from typing import Any

import numpy as np
from nibabel import orientations
from numpy.typing import NDArray

from common.imaging.volume import Volume

_TURNS: Any = orientations  # Any, for nibabel has not typed them


def orientation_of(volume: Volume) -> str:
    """Where i, j and k run to, one letter each: "RAS" is right, anterior, superior."""
    return "".join(str(code) for code in _TURNS.aff2axcodes(volume.affine))


def upright(volume: Volume) -> Volume:
    """`volume` with i to the right, j forwards and k upwards, as close as whole turns get.

    Nothing is interpolated: axes are exchanged and reversed.
    """
    turns: NDArray[Any] = _TURNS.io_orientation(volume.affine)
    data: NDArray[Any] = np.ascontiguousarray(_TURNS.apply_orientation(volume.data, turns))
    return Volume(data, volume.affine @ _TURNS.inv_ornt_aff(turns, volume.data.shape))
