"""An evaluation of two unseen sites written by hand, small enough to work every figure out."""

from __future__ import annotations

import numpy as np

from common.metrics.lesion import LesionCounts
from common.metrics.lesion_table import LesionRow
from common.metrics.probability_counts import N_BINS, ProbabilityCounts
from common.metrics.threshold_sweep import ThresholdCounts
from common.metrics.voxel import VoxelCounts
from server.evaluation.case_row import CaseRow
from server.evaluation.evaluation_folder import ScoredCase

DEFINITION = {"lesion": {"name": "msseg2016"}, "threshold": 0.5, "run": "toy", "round": 2}


def row(site: str, subject: str, dice: float | None, **metrics: float | int | None) -> CaseRow:
    """A scored case; what is not named is undefined."""
    lesions = {"lesion_f1": None, "lesion_sensitivity": None, "lesion_ppv": None}
    return CaseRow(
        site=site, subject=f"sub-{subject}", metrics={"dice": dice, **lesions, **metrics}
    )


def scored() -> list[ScoredCase]:
    """east: sub-A Dice 0.8, sub-B 0.4; west: sub-A 0.6. Each has one reference lesion of 20 mm3.

    At 0.25 every lesion is found beside one false lesion; at 0.75 only that of east's sub-A.
    """
    return [
        _scored(row("east", "A", 0.8, lesion_f1=1.0, **_volumes(20_000.0, 16_000.0)), late=True),
        _scored(row("east", "B", 0.4, lesion_f1=0.5, **_volumes(20_000.0, 30_000.0)), late=False),
        _scored(row("west", "A", 0.6, lesion_f1=0.5, **_volumes(20_000.0, 20_000.0)), late=False),
    ]


def failed() -> list[CaseRow]:
    """west's sub-C, planned and not scored."""
    return [CaseRow(site="west", subject="sub-C", session="ses-01", failed="FLAIR is cut off")]


def baseline() -> list[CaseRow]:
    """The FLAIR threshold on the same cases: 0.2 less, 0.2 less, 0.2 more."""
    return [
        row("east", "A", 0.6, lesion_f1=0.5),
        row("east", "B", 0.2, lesion_f1=0.5),
        row("west", "A", 0.8, lesion_f1=1.0),
        *failed(),
    ]


def _volumes(reference: float, predicted: float) -> dict[str, float]:
    return {"reference_volume_mm3": reference, "predicted_volume_mm3": predicted}


def _scored(case: CaseRow, *, late: bool) -> ScoredCase:
    """late: whether the lesion is still found at the higher threshold."""
    return ScoredCase(
        row=case,
        lesions=[_lesion("reference", detected=True), _lesion("prediction", detected=True)],
        sweep=[_at(0.25, found=True, n_false=1), _at(0.75, found=late, n_false=0)],
        probabilities=_probabilities(),
    )


def _lesion(mask: str, *, detected: bool) -> LesionRow:
    return LesionRow(
        mask="reference" if mask == "reference" else "prediction",
        lesion=1,
        n_voxels=5,
        volume_mm3=20.0,
        centroid_mm=(-4.5, 12.0, 30.25),
        detected=detected,
        overlap=0.75,
    )


def _at(threshold: float, *, found: bool, n_false: int) -> ThresholdCounts:
    n_found = int(found)
    return ThresholdCounts(
        threshold=threshold,
        voxels=VoxelCounts(tp=4 * n_found, fp=2 * n_false, fn=5 - 4 * n_found, tn=100),
        lesions=LesionCounts(
            n_reference=1,
            n_predicted=n_found + n_false,
            n_detected=n_found,
            n_confirmed=n_found,
            n_touched=n_found,
            n_untouching=n_false,
            reference_volume_mm3=20.0,
            predicted_volume_mm3=16.0 * n_found + 8.0 * n_false,
            reference_is_empty=False,
            prediction_is_empty=n_found + n_false == 0,
        ),
    )


def _probabilities() -> ProbabilityCounts:
    """90 voxels at p = 0.05, none lesion; 10 at p = 0.85, of which 5 are."""
    n_voxels, n_lesion = np.zeros(N_BINS, np.int64), np.zeros(N_BINS, np.int64)
    n_voxels[5], n_voxels[85], n_lesion[85] = 90, 10, 5
    sums = np.zeros(N_BINS)
    sums[5], sums[85] = 90 * 0.05, 10 * 0.85
    return ProbabilityCounts(n_voxels, n_lesion, sums)
