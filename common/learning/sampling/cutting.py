"""A patch out of a volume, with zeros where it reaches beyond."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)
Shape = tuple[int, int, int]


def cut(volume: npt.NDArray[T], start: Sequence[int], patch_shape: Shape) -> npt.NDArray[T]:
    """The patch (C, *patch_shape) of a volume (C, i, j, k), copied.

    start   the patch's first voxel in the volume; may be negative, or reach beyond the end
    """
    patch = np.zeros((volume.shape[0], *patch_shape), volume.dtype)
    inside, place = [], []
    for begin, n_patch, n_volume in zip(start, patch_shape, volume.shape[1:], strict=True):
        low, high = max(begin, 0), min(begin + n_patch, n_volume)
        inside.append(slice(low, max(low, high)))
        place.append(slice(low - begin, max(low, high) - begin))
    patch[:, *place] = volume[:, *inside]
    return patch


def cut_each(
    masks: Sequence[npt.NDArray[T]], start: Sequence[int], patch_shape: Shape
) -> npt.NDArray[T]:
    """The patch (R, *patch_shape) of R volumes (i, j, k), which may stay on disk around it."""
    return np.concatenate([cut(mask[None], start, patch_shape) for mask in masks])
