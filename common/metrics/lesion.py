"""How well two masks agree lesion by lesion.

A lesion is a connected component of a mask above a minimum volume. The MSSEG rule says which
lesions of one mask the other one found. It is not a matching in pairs: fragments add up, one
prediction may find several lesions, and one that is far too large finds none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from common.errors import GeometryError
from common.metrics.presets import LesionDefinition

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
LabelArray = NDArray[np.int32]
Spacing = Sequence[float] | NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Lesions:
    """The lesions of one mask, numbered from 1 in raster order (i fastest) of their first voxel.

    labels  (i, j, k): the number of the lesion at each voxel; 0 is background, which takes in the
            components that are too small
    sizes   (n,) voxels of lesion 1, 2, ...
    """

    labels: LabelArray
    sizes: IntArray

    def __len__(self) -> int:
        return len(self.sizes)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Overlaps:
    """Which lesions of two masks share voxels: the table of overlaps, its empty cells left out.

    own, other       (m,) lesion of the one mask and of the other, counted from 0; each pair once
    shared           (m,) voxels they share, at least 1
    own_sizes, other_sizes  voxels of each lesion
    """

    own: IntArray
    other: IntArray
    shared: IntArray
    own_sizes: IntArray
    other_sizes: IntArray

    def exchanged(self) -> Overlaps:
        """The same table with the roles exchanged."""
        return Overlaps(
            own=self.other,
            other=self.own,
            shared=self.shared,
            own_sizes=self.other_sizes,
            other_sizes=self.own_sizes,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LesionCounts:
    """Counts of lesions, and the metrics made of them; None where a metric is undefined.

    n_reference, n_predicted  lesions of each mask
    n_detected                reference lesions that the prediction found
    n_confirmed               predicted lesions that the reference found, by the same rule
    reference_volume_mm3, predicted_volume_mm3  volume of those lesions, small components left out
    reference_is_empty, prediction_is_empty     whether the mask had no voxel at all, small or not
    """

    n_reference: int
    n_predicted: int
    n_detected: int
    n_confirmed: int
    reference_volume_mm3: float
    predicted_volume_mm3: float
    reference_is_empty: bool
    prediction_is_empty: bool

    @property
    def lesion_sensitivity(self) -> float | None:
        """Share of the reference lesions that were found.

        Where the reference holds small components only: 0 for an empty prediction, else undefined.
        """
        if self.reference_is_empty:
            return None
        if self.n_reference == 0:
            return 0.0 if self.prediction_is_empty else None
        return self.n_detected / self.n_reference

    @property
    def lesion_ppv(self) -> float | None:
        """Share of the predicted lesions that are confirmed; 0 when none was predicted."""
        if self.reference_is_empty:
            return None
        return self.n_confirmed / self.n_predicted if self.n_predicted else 0.0

    @property
    def lesion_f1(self) -> float | None:
        """Harmonic mean of sensitivity and PPV; 0 when either is 0."""
        if self.reference_is_empty:
            return None
        sensitivity, ppv = self.lesion_sensitivity, self.lesion_ppv
        if not sensitivity or not ppv:
            return 0.0
        return 2 * sensitivity * ppv / (sensitivity + ppv)


def count_lesions(
    reference: BoolArray,
    prediction: BoolArray,
    *,
    spacing_mm: Spacing,
    definition: LesionDefinition,
) -> LesionCounts:
    """How many lesions of two masks on one grid were found.

    reference, prediction  (i, j, k)
    spacing_mm             along i, j and k
    """
    ours = find_lesions(reference, spacing_mm=spacing_mm, definition=definition)
    theirs = find_lesions(prediction, spacing_mm=spacing_mm, definition=definition)
    overlaps = overlaps_of(ours, theirs)
    voxel_mm3 = voxel_volume_mm3(spacing_mm)
    return LesionCounts(
        n_reference=len(ours),
        n_predicted=len(theirs),
        n_detected=int(np.count_nonzero(detected(overlaps, definition))),
        n_confirmed=int(np.count_nonzero(detected(overlaps.exchanged(), definition))),
        reference_volume_mm3=int(ours.sizes.sum()) * voxel_mm3,
        predicted_volume_mm3=int(theirs.sizes.sum()) * voxel_mm3,
        reference_is_empty=not reference.any(),
        prediction_is_empty=not prediction.any(),
    )


def find_lesions(mask: BoolArray, *, spacing_mm: Spacing, definition: LesionDefinition) -> Lesions:
    """The connected components of `mask` that are large enough, in raster order.

    mask  (i, j, k); one stored with i fastest, as NIfTI is read, is not copied
    """
    mask = np.asfortranarray(mask)
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
    has it, for float32(0.6) is 0.6000000238.
    """
    spacing = np.asarray(spacing_mm, dtype=np.float32)
    if spacing.shape != (3,) or not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise GeometryError(f"spacing_mm: want three lengths above 0, got {spacing_mm!r}")
    i, j, k = (float(length) for length in spacing)
    return i * j * k


def min_voxels(spacing_mm: Spacing, min_volume_mm3: float) -> int:
    """The fewest voxels that are strictly more than `min_volume_mm3`."""
    return math.floor(min_volume_mm3 / voxel_volume_mm3(spacing_mm)) + 1


def overlaps_of(own: Lesions, other: Lesions) -> Overlaps:
    """How many voxels each lesion of `own` shares with each of `other`."""
    labels, other_labels = own.labels.ravel(order="F"), other.labels.ravel(order="F")
    common = np.flatnonzero(labels)
    common = common[other_labels[common] > 0]
    n_other = max(len(other), 1)
    cell = (labels[common].astype(np.int64) - 1) * n_other + (other_labels[common] - 1)
    cells, shared = np.unique(cell, return_counts=True)
    return Overlaps(
        own=cells // n_other,
        other=cells % n_other,
        shared=shared.astype(np.int64),
        own_sizes=own.sizes,
        other_sizes=other.sizes,
    )


def detected(overlaps: Overlaps, definition: LesionDefinition) -> BoolArray:
    """Which of the own lesions the other mask found, by the MSSEG rule; (n_own,).

    1. More than alpha of the lesion is covered.
    2. The lesions that cover it are visited from the largest overlap down (ties in their order)
       until those visited explain gamma of what is covered. One that lies outside every own
       lesion with more than beta of its voxels, and the lesion is missed.
    3. Got through: detected.

    Source  Commowick et al. 2018, doi:10.1038/s41598-018-31911-7, as the challenge's tool does it.
    """
    n_own, n_other = len(overlaps.own_sizes), len(overlaps.other_sizes)
    covered = _total(overlaps.own, overlaps.shared, n_own)
    outside = overlaps.other_sizes - _total(overlaps.other, overlaps.shared, n_other)
    too_large = outside / overlaps.other_sizes > definition.beta
    enough = covered / overlaps.own_sizes > definition.alpha

    visits = np.lexsort((overlaps.other, -overlaps.shared, overlaps.own))
    ends = np.searchsorted(overlaps.own[visits], np.arange(n_own + 1))
    found = np.zeros(n_own, dtype=np.bool_)
    for lesion in np.flatnonzero(enough):
        visit = visits[ends[lesion] : ends[lesion + 1]]
        shares = overlaps.shared[visit] / covered[lesion]
        found[lesion] = _gets_through(shares, too_large[overlaps.other[visit]], definition.gamma)
    return found


def _gets_through(shares: Iterable[float], too_large: Iterable[bool], gamma: float) -> bool:
    explained = 0.0
    for share, outgrown in zip(shares, too_large, strict=True):
        if explained >= gamma:
            break
        if outgrown:
            return False
        explained += share
    return True


def _total(lesion: IntArray, shared: IntArray, n_lesions: int) -> IntArray:
    """Shared voxels summed for each lesion, exact."""
    total = np.zeros(n_lesions, dtype=np.int64)
    np.add.at(total, lesion, shared)
    return total
