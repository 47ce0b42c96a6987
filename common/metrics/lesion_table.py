"""One row for each lesion: its place, its size, and whether the other mask found it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.arrays import BoolArray, FloatArray
from common.metrics.components import Lesions, find_lesions, voxel_volume_mm3
from common.metrics.detection import Overlaps, detected, overlaps_of
from common.metrics.presets import LesionDefinition

Mask = Literal["reference", "prediction"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LesionRow:
    """One lesion of one of the two masks of a case.

    mask         which mask it belongs to
    lesion       its number there, from 1, in raster order (i fastest) of its first voxel
    centroid_mm  mean of its voxel centres, RAS+ world, mm
    detected     the other mask found it (TP); for a predicted lesion: the reference confirms it
    overlap      share of its voxels that lesions of the other mask cover
    """

    mask: Mask
    lesion: int
    n_voxels: int
    volume_mm3: float
    centroid_mm: tuple[float, float, float]
    detected: bool
    overlap: float

    def as_dict(self) -> dict[str, str | int | float]:
        """One flat row, as tables hold it; detected is 1 or 0."""
        x, y, z = self.centroid_mm
        return {
            "mask": self.mask,
            "lesion": self.lesion,
            "n_voxels": self.n_voxels,
            "volume_mm3": self.volume_mm3,
            "x_mm": x,
            "y_mm": y,
            "z_mm": z,
            "detected": int(self.detected),
            "overlap": self.overlap,
        }


def lesion_rows(
    reference: BoolArray,
    prediction: BoolArray,
    *,
    affine: FloatArray,
    definition: LesionDefinition,
) -> list[LesionRow]:
    """The lesions of the reference, then those of the prediction; too small ones are in no row.

    reference, prediction  (i, j, k) on one grid
    affine                 (4, 4), voxel index -> RAS+ world, mm
    """
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    ours = find_lesions(reference, spacing_mm=spacing_mm, definition=definition)
    theirs = find_lesions(prediction, spacing_mm=spacing_mm, definition=definition)
    overlaps = overlaps_of(ours, theirs)
    return [
        *_rows("reference", ours, overlaps, affine=affine, definition=definition),
        *_rows("prediction", theirs, overlaps.exchanged(), affine=affine, definition=definition),
    ]


def _rows(
    mask: Mask,
    lesions: Lesions,
    overlaps: Overlaps,
    *,
    affine: FloatArray,
    definition: LesionDefinition,
) -> Iterator[LesionRow]:
    voxel_mm3 = voxel_volume_mm3(np.linalg.norm(affine[:3, :3], axis=0))
    centroids = _centroids(lesions) @ affine[:3, :3].T + affine[:3, 3]
    covered, found = overlaps.covered(), detected(overlaps, definition)
    for index, size in enumerate(lesions.sizes.tolist()):
        x, y, z = centroids[index].tolist()
        yield LesionRow(
            mask=mask,
            lesion=index + 1,
            n_voxels=size,
            volume_mm3=size * voxel_mm3,
            centroid_mm=(x, y, z),
            detected=bool(found[index]),
            overlap=int(covered[index]) / size,
        )


def _centroids(lesions: Lesions) -> FloatArray:
    """Mean voxel index of each lesion, (n, 3)."""
    labels = lesions.labels.ravel(order="F")
    voxels = np.flatnonzero(labels)
    places = np.unravel_index(voxels, lesions.labels.shape, order="F")
    number, n = labels[voxels] - 1, len(lesions)
    sums = [np.bincount(number, weights=place, minlength=n) for place in places]
    return np.stack(sums, axis=1) / lesions.sizes[:, None]
