"""Which lesions of one mask the other one found: true and false positives, false negatives.

Lesions are not matched in pairs: fragments add up, one lesion may find several, and by the MSSEG
rule one that is far too large finds none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from common.arrays import BoolArray, IntArray
from common.errors import GeometryError
from common.metrics.components import Lesions
from common.metrics.presets import LesionDefinition


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Overlaps:
    """Which lesions of two masks share voxels: the table of overlaps without its empty cells.

    own, other       (m,) lesion of the one mask and of the other, counted from 0; each pair once
    shared           (m,) voxels they share, at least 1
    own_sizes, other_sizes  voxels of each lesion
    """

    own: IntArray
    other: IntArray
    shared: IntArray
    own_sizes: IntArray
    other_sizes: IntArray

    def covered(self) -> IntArray:
        """Voxels of each own lesion that the other mask's lesions share, (n_own,)."""
        total = np.zeros(len(self.own_sizes), dtype=np.int64)
        np.add.at(total, self.own, self.shared)
        return total

    def exchanged(self) -> Overlaps:
        """The same table with the roles exchanged."""
        return Overlaps(
            own=self.other,
            other=self.own,
            shared=self.shared,
            own_sizes=self.other_sizes,
            other_sizes=self.own_sizes,
        )


def overlaps_of(own: Lesions, other: Lesions) -> Overlaps:
    """How many voxels each lesion of `own` shares with each of `other`; one grid, one shape."""
    if own.labels.shape != other.labels.shape:
        raise GeometryError(
            f"want two masks with one shape (i, j, k), got {own.labels.shape} and "
            f"{other.labels.shape}. Resample one of them onto the other's grid."
        )
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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LesionMatches:
    """What `match_lesions` found of each lesion, in the order of its number.

    detected, touched      (n_reference,)
    confirmed, untouching  (n_predicted,)
    """

    detected: BoolArray
    touched: BoolArray
    confirmed: BoolArray
    untouching: BoolArray


def match_lesions(
    reference: Lesions, prediction: Lesions, definition: LesionDefinition
) -> LesionMatches:
    """Which lesions are true positives (TP), false negatives (FN) and false positives (FP).

    TP   a reference lesion that the prediction found: `detected`. A predicted lesion that the
         reference found, by the same rule with the roles exchanged: `confirmed`
    FN   a reference lesion that is not `detected`
    FP   a predicted lesion that is not `confirmed`

    Lesions are not matched in pairs, so the two counts of TP may differ: sensitivity is
    detected / (detected + FN), PPV is confirmed / (confirmed + FP). `touched` and `untouching` are
    the TP and FP of LTPR and LFPR: one shared voxel counts, whatever the definition's matching.
    """
    overlaps = overlaps_of(reference, prediction)
    exchanged = overlaps.exchanged()
    return LesionMatches(
        detected=detected(overlaps, definition),
        touched=touched(overlaps),
        confirmed=detected(exchanged, definition),
        untouching=~touched(exchanged),
    )


def touched(overlaps: Overlaps) -> BoolArray:
    """Which of the own lesions share at least one voxel with a lesion of the other mask; (n_own,).

    Source  Carass et al. 2017, doi:10.1016/j.neuroimage.2016.12.064.
    """
    found = np.zeros(len(overlaps.own_sizes), dtype=np.bool_)
    found[overlaps.own] = True
    return found


def detected(overlaps: Overlaps, definition: LesionDefinition) -> BoolArray:
    """Which of the own lesions the other mask found, by the definition's matching; (n_own,)."""
    if definition.matching == "any_overlap":
        return touched(overlaps)
    alpha, beta, gamma = definition.alpha, definition.beta, definition.gamma
    assert alpha is not None
    assert beta is not None
    assert gamma is not None  # a definition by msseg is refused without them
    return _detected_by_msseg(overlaps, alpha=alpha, beta=beta, gamma=gamma)


def _detected_by_msseg(overlaps: Overlaps, *, alpha: float, beta: float, gamma: float) -> BoolArray:
    """Which of the own lesions the other mask found, by the MSSEG rule; (n_own,).

    1. More than alpha of the lesion is covered.
    2. The lesions that cover it are visited from the largest overlap down (ties in their order)
       until those visited explain gamma of what is covered. If one of them lies outside
       every own lesion with more than beta of its voxels, the lesion is missed.
    3. Otherwise it is detected.

    Source  Commowick et al. 2018, doi:10.1038/s41598-018-31911-7, as the challenge's tool does it.
    """
    covered = overlaps.covered()
    outside = overlaps.other_sizes - overlaps.exchanged().covered()
    too_large = outside / overlaps.other_sizes > beta
    enough = covered / overlaps.own_sizes > alpha

    visits = np.lexsort((overlaps.other, -overlaps.shared, overlaps.own))
    ends = np.searchsorted(overlaps.own[visits], np.arange(len(covered) + 1))
    found = np.zeros(len(covered), dtype=np.bool_)
    for lesion in np.flatnonzero(enough):
        visit = visits[ends[lesion] : ends[lesion + 1]]
        shares = overlaps.shared[visit] / covered[lesion]
        found[lesion] = _gets_through(shares, too_large[overlaps.other[visit]], gamma)
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
