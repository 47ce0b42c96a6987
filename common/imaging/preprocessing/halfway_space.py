"""The space halfway between two dates, where both images are interpolated alike."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from common.arrays import FloatArray
from common.errors import GeometryError
from common.imaging.preprocessing.rigid_registration import rigid_inverse

RIGID_TOLERANCE = 1e-6


def halfway(first_to_second: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The moves of the first and of the second image into the space halfway between them.

    first_to_second  (4, 4), rigid: RAS+ world mm of the first image -> that of the second
    returns          two moves, (4, 4), rigid: the first done twice is `first_to_second`, and the
                     second is its way back, so that neither date is favoured

    Half the turn about the same axis (the shorter way round), and the shift that goes with it. A
    turn by 180 degrees has two halves and one of them is taken. GeometryError for a move that
    is not rigid.
    Source  Reuter et al. 2012, doi:10.1016/j.neuroimage.2012.02.084: the square root of the move.
    """
    turn, shift = first_to_second[:3, :3], first_to_second[:3, 3]
    skew = np.abs(turn.T @ turn - np.eye(3)).max()
    if not (skew < RIGID_TOLERANCE and np.linalg.det(turn) > 0 and np.isfinite(shift).all()):
        raise GeometryError(
            "halfway space: want a rigid move (a turn and a shift), got "
            f"{first_to_second.tolist()}. Register the two dates rigidly."
        )
    half = np.eye(4)
    half[:3, :3] = Rotation.from_rotvec(Rotation.from_matrix(turn).as_rotvec() / 2).as_matrix()
    half[:3, 3] = np.linalg.solve(half[:3, :3] + np.eye(3), shift)  # twice: half @ s + s = shift
    return half, rigid_inverse(half)
