"""A head of a few thousand voxels, with brain, face and lopsided insides, at 4 mm."""

from __future__ import annotations

import numpy as np

from common.arrays import BoolArray, FloatArray
from common.imaging.volume import Volume

SHAPE = (50, 60, 56)
STEP_MM = 4.0


def head(
    *, face: bool = True, contrast: float = 1.0, top_mm: float = 100.0, mirrored: bool = False
) -> Volume:
    """An upright head in exact zeros: skull and brain 160 x 190 mm, a neck, and a face before it.

    face      the front continues downwards to the chin; else it is cut off below the brow
    contrast  brightness of the inside against the skin
    top_mm    how far the image reaches above the origin, which lies in the middle of the brain;
              the vertex is at 88 mm
    mirrored  the voxels reversed from left to right, under the same affine
    """
    affine = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
    affine[:3, 3] = (-98.0, -118.0, top_mm - STEP_MM * (SHAPE[2] - 1))
    i, j, k = np.indices(SHAPE)
    x, y, z = (affine[axis, axis] * n + affine[axis, 3] for axis, n in enumerate((i, j, k)))
    inside = (x / 80) ** 2 + (y / 95) ** 2 + (z / 88) ** 2 <= 1
    neck = (np.abs(x) < 50) & (np.abs(y + 20) < 50) & (z < -20)
    front = (np.abs(x) < 60) & (y > 0) & (y < 95) & (z < 0) & (z > -90)
    data = np.where(inside | neck | (front if face else False), 100.0, 0.0)
    data[_ball(x, y, z, at=(30, 20, 20), radius=22)] = 100 + 90 * contrast
    data[_ball(x, y, z, at=(-45, -30, 30), radius=14)] = 100 - 60 * contrast
    data[_ball(x, y, z, at=(40, -45, 5), radius=18)] = 100 - 50 * contrast
    if not face:
        data[(y > 60) & (z < -15)] = 0.0
    if mirrored:
        data = data[::-1].copy()
    return Volume(data.astype(np.float32), affine)


def _ball(
    x: FloatArray,
    y: FloatArray,
    z: FloatArray,
    *,
    at: tuple[float, float, float],
    radius: float,
) -> BoolArray:
    away = (x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2
    return np.asarray(away <= radius**2)
