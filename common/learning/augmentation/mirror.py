"""Patches mirrored with probability one half."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from common.arrays import BoolArray, Float32Array


def mirrored_left_right(
    images: Float32Array, lesions: BoolArray, random: np.random.Generator
) -> tuple[Float32Array, BoolArray]:
    """Both, with probability one half mirrored along i, which runs from left to right.

    images    (C, i, j, k)
    lesions   (R, i, j, k)
    """
    return _mirrored(images, lesions, axes=[0] if random.random() < 0.5 else [])


def mirrored(
    images: Float32Array, lesions: BoolArray, random: np.random.Generator
) -> tuple[Float32Array, BoolArray]:
    """Both, along each of i, j and k mirrored with probability one half, one by one.

    images    (C, i, j, k)
    lesions   (R, i, j, k)
    Source    Hussein 2023 says "random mirroring"; the axes and the probability are chosen.
    """
    return _mirrored(images, lesions, axes=np.flatnonzero(random.random(3) < 0.5))


def _mirrored(
    images: Float32Array, lesions: BoolArray, *, axes: Iterable[int]
) -> tuple[Float32Array, BoolArray]:
    behind_channels = tuple(int(axis) + 1 for axis in axes)
    return np.flip(images, behind_channels), np.flip(lesions, behind_channels)
