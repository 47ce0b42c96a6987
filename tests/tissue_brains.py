"""A stripped brain of human size with fluid, grey and white matter, tilted and anisotropic."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from common.arrays import BoolArray, FloatArray
from common.imaging.volume import Volume

SHAPE = (44, 50, 26)
SPACING_MM = (4.0, 4.0, 6.0)

VALUES = {"FLAIR": (60.0, 300.0, 260.0), "T1w": (150.0, 480.0, 700.0), "T2w": (900.0, 500.0, 400.0)}
"""Modality -> fluid, grey and white matter, in scanner units."""


def brain_of(modality: str, *, seed: int = 0) -> Volume:
    """Ellipsoids of 135 x 165 x 130 mm: white matter about ventricles, a rim of grey, in zeros.

    Turned by 10 degrees about the ear-to-ear axis, as a head lies; blurred by a voxel, with noise.
    """
    fluid, grey, white = VALUES[modality]
    angle = np.deg2rad(10)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(SPACING_MM)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    away = _away(SHAPE)
    values = np.where(away < 0.1, fluid, np.where(away < 0.6, white, grey))
    blurred = ndimage.gaussian_filter(values, 0.6)
    noisy = blurred + np.random.default_rng(seed).normal(0, 0.02 * grey, SHAPE)
    data = np.where(away < 1, np.clip(noisy, 1, None), 0).astype(np.float32)
    return Volume(data, affine)


def whole_brain() -> BoolArray:
    """The voxels of `brain_of`."""
    return np.asarray(_away(SHAPE) < 1)


def _away(shape: tuple[int, int, int]) -> FloatArray:
    """Square of the distance to the middle, 1 at the brain's surface, (i, j, k)."""
    i, j, k = ((np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, SPACING_MM, strict=True))
    x, y, z = np.meshgrid(i, j, k, indexing="ij")
    return np.asarray((x / 67) ** 2 + (y / 82) ** 2 + (z / 65) ** 2)
