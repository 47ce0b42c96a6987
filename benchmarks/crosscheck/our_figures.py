"""Our figures of a pair, and the peers' figures rebuilt from our own parts."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks.crosscheck.their_definitions import (
    contour_distances,
    matched_one_to_one,
    mean_dice,
)
from common.arrays import BoolArray, FloatArray
from common.metrics.case import score_case
from common.metrics.components import find_lesions
from common.metrics.detection import overlaps_of
from common.metrics.lesion import count_lesions
from common.metrics.presets import ISBI2015

Figures = dict[str, float | int | None]

BY_FACES = dataclasses.replace(ISBI2015, name="any overlap, 6", connectivity=6)
BY_CORNERS = dataclasses.replace(ISBI2015, name="any overlap, 26", connectivity=26)


def our_figures(reference: BoolArray, prediction: BoolArray, spacing_mm: FloatArray) -> Figures:
    """What we say of one pair, (i, j, k); `their ..` is a figure by a peer's definition."""
    case = score_case(reference, prediction, spacing_mm=spacing_mm, definition=BY_CORNERS)
    faces = count_lesions(reference, prediction, spacing_mm=spacing_mm, definition=BY_FACES)
    corners, metrics = case.lesions, case.metrics()
    error_pct = metrics["relative_volume_error_pct"]
    lesions = [
        find_lesions(mask, spacing_mm=spacing_mm, definition=BY_CORNERS)
        for mask in (reference, prediction)
    ]
    overlaps = overlaps_of(*lesions)
    halves = matched_one_to_one(overlaps, iou=0.5)
    distances = contour_distances(reference, prediction, spacing_mm)
    in_voxels = contour_distances(reference, prediction, np.ones(3))
    return {
        **{name: metrics[name] for name in ("dice", "hausdorff_mm", "hd95_mm", "assd_mm")},
        "volume_error": None if error_pct is None else error_pct / 100,
        "n_reference_6": faces.n_reference,
        "n_predicted_6": faces.n_predicted,
        "n_reference_26": corners.n_reference,
        "n_predicted_26": corners.n_predicted,
        "n_detected": corners.n_detected,
        "n_predicted_alone": corners.n_untouching,
        "n_reference_alone": corners.n_reference - corners.n_touched,
        "matched_dice": mean_dice(overlaps, halves),
        "their hausdorff_voxels": in_voxels.hausdorff_mm,
        "their hausdorff_mm": distances.hausdorff_mm,
        "their hd95_of_each_mm": distances.hd95_of_each_mm,
        "their hd95_of_both_mm": distances.hd95_of_both_mm,
        "their assd_over_voxels_mm": distances.assd_over_voxels_mm,
        "their assd_of_means_mm": distances.assd_of_means_mm,
        "their n_touching": len(matched_one_to_one(overlaps, iou=0.0)),
        "their n_half": len(halves),
    }
