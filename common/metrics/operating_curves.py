"""What a network does at every threshold: precision-recall, FROC, and whether it is calibrated.

All curves pool: voxels or lesions of all cases are added up first, so that a case with much lesion
weighs more than one with little. Means over cases are in the tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.arrays import FloatArray, IntArray
from common.metrics.probability_counts import N_BINS, ProbabilityCounts
from common.metrics.threshold_sweep import ThresholdCounts

N_RELIABILITY_BINS = 10
"""Chosen. With 100 bins the middle ones hold a few voxels each and their lesion share is noise,
which adds to the error whatever the network does; 10 is the usual number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionRecallPoint:
    """Precision (PPV) and recall (sensitivity) over voxels when p >= threshold is lesion."""

    threshold: float
    precision: float
    recall: float


def precision_recall(counts: ProbabilityCounts) -> list[PrecisionRecallPoint]:
    """One point a threshold 0.00, 0.01, ... 0.99, rising; empty without a lesion voxel.

    At threshold 0 everything is lesion: recall 1, and the precision is the share of lesion in the
    brain. Thresholds above every probability have no precision and no point.
    """
    n_lesion = int(counts.n_lesion_voxels.sum())
    if n_lesion == 0:
        return []
    n_called, n_right = _tail(counts.n_voxels), _tail(counts.n_lesion_voxels)
    return [
        PrecisionRecallPoint(
            threshold=b / N_BINS,
            precision=int(n_right[b]) / int(n_called[b]),
            recall=int(n_right[b]) / n_lesion,
        )
        for b in range(N_BINS)
        if n_called[b]
    ]


def average_precision(points: Sequence[PrecisionRecallPoint]) -> float | None:
    """Sum over thresholds of precision times the recall gained there; None without a point.

    Steps, without lines between points: a straight line would show what no threshold reaches.
    """
    if not points:
        return None
    next_recall = [*(point.recall for point in points[1:]), 0.0]
    return math.fsum(
        point.precision * (point.recall - beyond)
        for point, beyond in zip(points, next_recall, strict=True)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class FrocPoint:
    """Lesions found and false lesions at one threshold.

    false_positives_per_case  FP: predicted lesions that are not confirmed, mean over cases
    lesion_sensitivity        detected / reference lesions of all cases; None where there are none
    """

    threshold: float
    false_positives_per_case: float
    lesion_sensitivity: float | None


def froc(sweeps: Sequence[Sequence[ThresholdCounts]]) -> list[FrocPoint]:
    """One point a threshold, in the sweeps' order; empty without a case.

    sweeps   one a case, all over the same thresholds, or ValueError

    A case without a reference lesion adds its false positives and counts as a case; it has no part
    in the sensitivity.
    """
    thresholds = {tuple(at.threshold for at in sweep) for sweep in sweeps}
    if len(thresholds) > 1:
        raise ValueError(f"want one list of thresholds for all cases, got {sorted(thresholds)}")
    points = []
    for at in zip(*sweeps, strict=True):
        n_reference = sum(case.lesions.n_reference for case in at)
        n_detected = sum(case.lesions.n_detected for case in at)
        n_false = sum(case.lesions.n_predicted - case.lesions.n_confirmed for case in at)
        points.append(
            FrocPoint(
                threshold=at[0].threshold,
                false_positives_per_case=n_false / len(at),
                lesion_sensitivity=n_detected / n_reference if n_reference else None,
            )
        )
    return points


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliabilityBin:
    """Predicted probability and true share of lesion, for the voxels with low <= p < high.

    mean_probability  None in a bin without a voxel, as is lesion_share
    lesion_share      the share that is lesion in the reference
    """

    low: float
    high: float
    n_voxels: int
    mean_probability: float | None
    lesion_share: float | None


def reliability(counts: ProbabilityCounts) -> list[ReliabilityBin]:
    """The counts in 10 bins of equal width, rising."""
    n_voxels, n_lesion = _grouped(counts.n_voxels), _grouped(counts.n_lesion_voxels)
    sums = _grouped(counts.probability_sums)
    return [
        ReliabilityBin(
            low=b / N_RELIABILITY_BINS,
            high=(b + 1) / N_RELIABILITY_BINS,
            n_voxels=int(n_voxels[b]),
            mean_probability=float(sums[b] / n_voxels[b]) if n_voxels[b] else None,
            lesion_share=float(n_lesion[b] / n_voxels[b]) if n_voxels[b] else None,
        )
        for b in range(N_RELIABILITY_BINS)
    ]


def expected_calibration_error(counts: ProbabilityCounts) -> float | None:
    """Mean over voxels of |share of lesion - mean probability| of their bin; None without a voxel.

    Source  Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602, for the probability of lesion, in 10
            bins. Clear background is most of the brain, so the first bin is most of this figure,
            which is small for any network: read it beside `suspected_calibration_error`.
    """
    return _calibration_error(reliability(counts))


def suspected_calibration_error(counts: ProbabilityCounts) -> float | None:
    """The same error over the voxels with p >= 0.1 only; None without one.

    Chosen: the first of the 10 bins left out, so that the tissue remains that the network
    suspects. Lesions that it does not suspect are in the first bin of the diagram.
    """
    return _calibration_error(reliability(counts)[1:])


def _calibration_error(bins: Sequence[ReliabilityBin]) -> float | None:
    n_voxels = sum(group.n_voxels for group in bins)
    if n_voxels == 0:
        return None
    return math.fsum(
        group.n_voxels / n_voxels * abs(group.lesion_share - group.mean_probability)
        for group in bins
        if group.lesion_share is not None and group.mean_probability is not None
    )


def _tail(counts: IntArray) -> IntArray:
    """Element b: the sum of bin b and all above."""
    return np.cumsum(counts[::-1])[::-1]


def _grouped(values: IntArray | FloatArray) -> FloatArray:
    """The sums of each 10 neighbouring bins; counts below 2**53 stay exact."""
    grouped: FloatArray = values.reshape(N_RELIABILITY_BINS, -1).sum(axis=1, dtype=float)
    return grouped
