"""The peers' definitions rebuilt from our own parts, to show that nothing else differs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from common.arrays import BoolArray, FloatArray
from common.metrics.detection import Overlaps
from common.metrics.surface import contour


@dataclass(frozen=True, slots=True, eq=False)
class ContourDistances:
    """Directed distances between two contours where the edge of the image is background, mm.

    there   from each contour voxel of the reference to the nearest of the prediction
    back    the other way round
    """

    there: FloatArray
    back: FloatArray

    @property
    def hausdorff_mm(self) -> float:
        """MONAI and panoptica: the farthest contour voxel, not the farthest voxel of the mask."""
        return float(max(self.there.max(), self.back.max()))

    @property
    def hd95_of_each_mm(self) -> float:
        """MONAI: the larger of the two directed percentiles, as ours, in single precision."""
        return max(percentile_95_float32(self.there), percentile_95_float32(self.back))

    @property
    def hd95_of_both_mm(self) -> float:
        """panoptica: one percentile over both directions together."""
        return float(np.percentile(np.concatenate([self.there, self.back]), 95))

    @property
    def assd_over_voxels_mm(self) -> float:
        """MONAI: the mean over all contour voxels of both masks, as ours."""
        return float(np.concatenate([self.there, self.back]).mean())

    @property
    def assd_of_means_mm(self) -> float:
        """panoptica: the mean of the two directed means, however many voxels each has."""
        return float((self.there.mean() + self.back.mean()) / 2)


def percentile_95_float32(distances_mm: FloatArray) -> float:
    """The 95th percentile, linear between ranks, with the rank in float32 as torch has it.

    Of 2000 distances the rank is off by some 1e-4, and the percentile by that share of the gap
    between two neighbours, which is up to a voxel.
    """
    rank = np.float32(0.95) * np.float32(distances_mm.size - 1)
    low = int(rank)
    below, above = np.sort(distances_mm)[[low, min(low + 1, distances_mm.size - 1)]]
    return float(below + (above - below) * (float(rank) - low))


def contour_distances(
    reference: BoolArray, prediction: BoolArray, spacing_mm: FloatArray
) -> ContourDistances:
    """Between two masks (i, j, k), neither empty, with background put around the image.

    spacing_mm   ones for distances in voxels
    """
    ours, theirs = (
        np.argwhere(contour(np.pad(mask, 1))) * spacing_mm for mask in (reference, prediction)
    )
    return ContourDistances(
        there=np.asarray(KDTree(theirs).query(ours)[0]),
        back=np.asarray(KDTree(ours).query(theirs)[0]),
    )


def matched_one_to_one(overlaps: Overlaps, *, iou: float) -> list[tuple[int, int]]:
    """Pairs of lesions (own, other) from the largest IoU down, each lesion used once.

    iou   the smallest that makes a pair; ties go to the pair with the lower numbers, own first
    """
    both = overlaps.own_sizes[overlaps.own] + overlaps.other_sizes[overlaps.other]
    share = overlaps.shared / (both - overlaps.shared)
    used_own: set[int] = set()
    used_other: set[int] = set()
    matched = []
    for row in np.lexsort((overlaps.other, overlaps.own, -share)):
        own, other = int(overlaps.own[row]), int(overlaps.other[row])
        if share[row] >= iou and own not in used_own and other not in used_other:
            used_own.add(own)
            used_other.add(other)
            matched.append((own, other))
    return matched


def mean_dice(overlaps: Overlaps, matched: list[tuple[int, int]]) -> float | None:
    """Mean Dice of matched lesions; None where none is."""
    shared = {
        (int(own), int(other)): int(voxels)
        for own, other, voxels in zip(overlaps.own, overlaps.other, overlaps.shared, strict=True)
    }
    dice = [
        2 * shared[own, other] / int(overlaps.own_sizes[own] + overlaps.other_sizes[other])
        for own, other in matched
    ]
    return sum(dice) / len(dice) if dice else None
