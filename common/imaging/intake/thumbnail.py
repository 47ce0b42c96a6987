"""A small copy of an image with its axes along the patient's, to judge the whole at a glance."""

from __future__ import annotations

import itertools

import cc3d
import numpy as np
from scipy import ndimage

from common.arrays import BoolArray
from common.imaging.volume import Volume

HEAD_LEVEL = 0.15
"""Part of the bright end of the values, above which a voxel is head and not air; chosen."""

HUGE = 1e30
"""Sums of values above this leave float32."""

LARGEST_MM = 1000.0
"""No image of a head reaches farther; its spacing is in another unit. Chosen."""


def is_head_sized(image: Volume) -> bool:
    """Whether `image` has some depth and is small enough for a thumbnail to fit into memory."""
    size_mm = np.asarray(image.data.shape) * image.spacing_mm
    return min(image.data.shape) > 1 and float(size_mm.max()) <= LARGEST_MM


def thumbnail(image: Volume, *, step_mm: float, about: Volume | None = None) -> Volume:
    """`image` on a coarse grid along right, anterior and superior; 0 where it shows nothing.

    step_mm   spacing of the thumbnail, along all three axes
    about     the image whose extent the thumbnail covers; None: `image` itself
    The caller has asked `is_head_sized`. Voxels smaller than the step are averaged first, then
    interpolated linearly.
    """
    covered = image if about is None else about
    corners = np.array(list(itertools.product(*((0, n - 1) for n in covered.data.shape))))
    world = corners @ covered.affine[:3, :3].T + covered.affine[:3, 3]
    low, high = world.min(axis=0), world.max(axis=0)
    shape = tuple(np.ceil((high - low) / step_mm).astype(int) + 1)
    affine = np.diag([step_mm, step_mm, step_mm, 1.0])
    affine[:3, 3] = low
    source = averaged(image, step_mm)
    to_source = np.linalg.inv(source.affine) @ affine
    data = ndimage.affine_transform(
        source.data, to_source[:3, :3], to_source[:3, 3], output_shape=shape, order=1
    )
    return Volume(data.astype(np.float32), affine)


def averaged(image: Volume, step_mm: float) -> Volume:
    """Means over blocks of whole voxels no larger than the step; a rest at the far end is left."""
    n = np.floor(step_mm / image.spacing_mm).clip(1, image.data.shape).astype(int)
    shape = [size // step for size, step in zip(image.data.shape, n, strict=True)]
    whole = image.data[tuple(slice(size * step) for size, step in zip(shape, n, strict=True))]
    blocks = whole.reshape(shape[0], n[0], shape[1], n[1], shape[2], n[2])
    affine = image.affine.copy()
    affine[:3, 3] += image.affine[:3, :3] @ ((n - 1) / 2)
    affine[:3, :3] *= n
    huge = max(float(whole.max()), -float(whole.min())) > HUGE
    means = blocks.mean(axis=(1, 3, 5), dtype=np.float64 if huge else np.float32)
    return Volume(means.astype(np.float32, copy=False), affine)


def head_mask(image: Volume) -> BoolArray:
    """The head in `image`, (i, j, k): bright voxels, opened, the largest component. May be empty.

    Meant for a thumbnail: holes and noise at the skin do not matter there.
    """
    bright = image.data[image.data > 0]
    if not bright.size:
        return np.zeros(image.data.shape, np.bool_)
    level = HEAD_LEVEL * float(np.percentile(bright, 95))
    head = ndimage.binary_opening(image.data > level)
    largest: BoolArray = cc3d.largest_k(head, k=1, connectivity=6) > 0
    return largest
