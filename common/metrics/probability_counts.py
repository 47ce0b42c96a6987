"""A probability map in 100 bins: what precision-recall and calibration are computed from.

The counts of two maps add up, so a site can send the sum over its cases and no voxel leaves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.arrays import BoolArray, FloatArray, IntArray
from common.errors import GeometryError, SiteDataError

N_BINS = 100


_EDGES: FloatArray = np.arange(N_BINS + 1) / N_BINS


@dataclass(frozen=True, slots=True, eq=False)
class ProbabilityCounts:
    """What falls into each of 100 equal bins over [0, 1].

    Bin b holds the probabilities p with b / 100 <= p < (b + 1) / 100; the last one also p = 1.

    n_voxels          (100,) int64: voxels of the brain
    n_lesion_voxels   (100,) int64: those that are lesion in the reference
    probability_sums  (100,) float64: sum of the probabilities
    """

    n_voxels: IntArray
    n_lesion_voxels: IntArray
    probability_sums: FloatArray

    def __post_init__(self) -> None:
        columns = (self.n_voxels, self.n_lesion_voxels, self.probability_sums)
        if any(column.shape != (N_BINS,) for column in columns):
            shapes = [column.shape for column in columns]
            raise SiteDataError(f"probability counts: want {N_BINS} bins each, got shapes {shapes}")
        if not (np.isfinite(self.probability_sums).all() and (self.probability_sums >= 0).all()):
            raise SiteDataError("probability counts: want finite sums, 0 or more")
        if (self.n_lesion_voxels < 0).any() or (self.n_lesion_voxels > self.n_voxels).any():
            raise SiteDataError("probability counts: a bin has more lesion voxels than voxels")

    def __add__(self, other: ProbabilityCounts) -> ProbabilityCounts:
        """The counts of both maps taken together."""
        return ProbabilityCounts(
            self.n_voxels + other.n_voxels,
            self.n_lesion_voxels + other.n_lesion_voxels,
            self.probability_sums + other.probability_sums,
        )


def no_probabilities() -> ProbabilityCounts:
    """Counts of no case: the start of a sum over cases."""
    return ProbabilityCounts(
        np.zeros(N_BINS, np.int64), np.zeros(N_BINS, np.int64), np.zeros(N_BINS)
    )


def count_probabilities(
    probability: NDArray[np.floating], reference: BoolArray, brain: BoolArray
) -> ProbabilityCounts:
    """The counts of one case.

    probability, reference, brain   (i, j, k) on one grid; probability lies in [0, 1]

    Only the brain is counted: outside it every network is right, and a larger field of view would
    improve all figures. A reference voxel outside the brain mask is added with the
    probability 0, whatever the map has there: the network does not see it and cannot find it.
    """
    _check_shapes(probability.shape, reference.shape, brain.shape)
    inside = probability[brain].astype(np.float64)
    if not ((inside >= 0) & (inside <= 1)).all():  # NaN fails as well
        raise SiteDataError(
            f"probability map: want values in [0, 1] inside the brain, found "
            f"{inside.min():.3g} to {inside.max():.3g}. Give the network's output, not its logits."
        )
    bins = np.minimum(np.searchsorted(_EDGES, inside, side="right") - 1, N_BINS - 1)
    n_voxels = np.bincount(bins, minlength=N_BINS).astype(np.int64)
    n_lesion_voxels = np.bincount(bins[reference[brain]], minlength=N_BINS).astype(np.int64)
    n_outside = int(np.count_nonzero(reference & ~brain))
    n_voxels[0] += n_outside
    n_lesion_voxels[0] += n_outside
    sums = np.bincount(bins, weights=inside, minlength=N_BINS).astype(np.float64)
    return ProbabilityCounts(n_voxels, n_lesion_voxels, sums)


def _check_shapes(*shapes: Sequence[int]) -> None:
    if len({tuple(shape) for shape in shapes}) != 1:
        found = ", ".join(str(tuple(shape)) for shape in shapes)
        raise GeometryError(
            f"want probability, reference and brain on one (i, j, k) grid, got {found}. "
            "Resample them onto one grid."
        )
