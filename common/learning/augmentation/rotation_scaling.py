"""Patches turned and scaled by a little."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from common.arrays import BoolArray, Float32Array, FloatArray

MOVED = 0.5
"""Probability that a patch is turned and scaled at all: it takes longest of all (chosen)."""

MOST_DEGREES = 15.0
SCALES = (0.85, 1.15)


def rotated_and_scaled(
    images: Float32Array, lesions: BoolArray, random: np.random.Generator
) -> tuple[Float32Array, BoolArray]:
    """Both, in half of the patches turned about each axis and scaled, alike, about the middle.

    images    (C, i, j, k), by linear interpolation
    lesions   (R, i, j, k), by the nearest voxel
    Source    rotation and scaling against unseen sites: Zhang et al. 2020 (BigAug),
              arXiv:1906.03347. Chosen: up to 15 degrees about each axis, one factor of 0.85 to 1.15
              for all axes, both uniform.

    What lies beyond the patch comes in as 0, and a lesion at its border, or of a single voxel, may
    be lost. An angle is as large in the brain only where voxels are cubes.
    """
    if random.random() >= MOVED:
        return images, lesions
    degrees = random.uniform(-MOST_DEGREES, MOST_DEGREES, 3)
    matrix = rotation(np.deg2rad(degrees)) / random.uniform(*SCALES)
    return resampled(images, lesions, matrix)


def rotation(radians: FloatArray) -> FloatArray:
    """The rotation (3, 3) about i, then j, then k by these angles."""
    matrix: FloatArray = np.eye(3)
    for axis, angle in enumerate(radians):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        about = np.eye(3)
        about[[first, second], [first, second]] = np.cos(angle)
        about[first, second], about[second, first] = -np.sin(angle), np.sin(angle)
        matrix = about @ matrix
    return matrix


def resampled(
    images: Float32Array, lesions: BoolArray, matrix: FloatArray
) -> tuple[Float32Array, BoolArray]:
    """Both, where each voxel shows what was at `matrix` times its place about the middle.

    matrix   (3, 3), of places (i, j, k) in voxels
    """
    # torch's grids are in half sides, and name the last axis first
    half = np.array(images.shape[:0:-1], np.float64)
    in_half_sides = matrix[::-1, ::-1] * half / half[:, None]
    theta = torch.zeros(1, 3, 4)
    theta[0, :, :3] = torch.from_numpy(in_half_sides.copy())
    grid = functional.affine_grid(theta, [1, 1, *images.shape[1:]], align_corners=False)
    moved = functional.grid_sample(
        torch.from_numpy(np.array(images, np.float32, order="C"))[None], grid, align_corners=False
    )
    marked = functional.grid_sample(
        torch.from_numpy(np.array(lesions, np.float32, order="C"))[None],
        grid,
        mode="nearest",
        align_corners=False,
    )
    return moved[0].numpy(), marked[0].numpy() > 0.5
