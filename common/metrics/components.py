"""The lesions of one mask: its connected components above a minimum volume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from common.arrays import BoolArray, IntArray
from common.errors import GeometryError
from common.metrics.presets import LesionDefinition

LabelArray = NDArray[np.int32]
Spacing = Sequence[float] | NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Lesions:
    """The lesions of one mask, numbered from 1 in raster order (i fastest) of their first voxel.

    labels  (i, j, k): the number of the lesion at each voxel; 0 is background, which includes the
            components that are too small
    sizes   (n,) voxels of lesion 1, 2, ...
    """

    labels: LabelArray
    sizes: IntArray

    def __len__(self) -> int:
        return len(self.sizes)


def find_lesions(mask: BoolArray, *, spacing_mm: Spacing, definition: LesionDefinition) -> Lesions:
    """The connected components of `mask` that are large enough, in raster order.

    mask  (i, j, k); one stored with i fastest, as NIfTI is read, is not copied
    """
    mask = np.asfortranarray(mask)
    if not mask.flags.writeable:  # cc3d takes no other
        mask = mask.copy(order="F")
    components = cc3d.connected_components(
        mask, connectivity=definition.connectivity, binary_image=True
    )
    voxels = np.flatnonzero(mask.ravel(order="F"))
    component = components.ravel(order="F")[voxels]
    names, first_seen, member, n_voxels = np.unique(
        component, return_index=True, return_inverse=True, return_counts=True
    )
    kept = n_voxels >= min_voxels(spacing_mm, definition.min_volume_mm3)
    kept_in_order = np.argsort(first_seen)
    kept_in_order = kept_in_order[kept[kept_in_order]]
    number = np.zeros(len(names), dtype=np.int32)
    number[kept_in_order] = np.arange(1, len(kept_in_order) + 1, dtype=np.int32)
    labels = np.zeros(mask.size, dtype=np.int32)
    labels[voxels] = number[member]
    return Lesions(labels.reshape(mask.shape, order="F"), n_voxels[kept_in_order].astype(np.int64))


def voxel_volume_mm3(spacing_mm: Spacing) -> float:
    """Volume of one voxel, mm3: the spacings as float32, as a header has them, times in float64.

    The float32 matters: 5 voxels of 1 x 1 x 0.6 mm come out above 3 mm3, as the challenge's tool
    has it, for float32(0.6) is 0.6000000238. An oblique affine gives that spacing back as
    0.5999999 or so, hence the rounding to 1e-6 mm: no lesion comes and goes with the head's angle.
    """
    spacing = np.round(np.asarray(spacing_mm, dtype=np.float64), 6).astype(np.float32)
    if spacing.shape != (3,) or not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise GeometryError(f"spacing_mm: want three lengths above 0, got {spacing_mm!r}")
    i, j, k = (float(length) for length in spacing)
    return i * j * k


def min_voxels(spacing_mm: Spacing, min_volume_mm3: float) -> int:
    """The fewest voxels that are strictly more than `min_volume_mm3`."""
    return math.floor(min_volume_mm3 / voxel_volume_mm3(spacing_mm)) + 1
