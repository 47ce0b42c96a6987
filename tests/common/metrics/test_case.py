from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from common.errors import GeometryError
from common.metrics.case import CaseScore, score_case
from common.metrics.presets import MSSEG2016

SHAPE = (9, 7, 5)
SPACING_MM = (0.75, 2.0, 1.5)  # 2.25 mm3 a voxel: a lesion has 2 or more; exact in float32


def score(
    reference: NDArray[Any],
    prediction: NDArray[Any],
    spacing_mm: tuple[float, float, float] = SPACING_MM,
) -> CaseScore:
    return score_case(reference, prediction, spacing_mm=spacing_mm, definition=MSSEG2016)


def test_a_case_by_hand() -> None:
    # 9 * 7 * 5 = 315 voxels; reference 8 and 1 voxels, prediction 6 of the 8 and 4 elsewhere.
    # Spacing 0.75 x 2 x 1.5 mm, and every voxel is contour. From the reference: 6 * 0; i = 1, 0 of
    # the line 0.75 and 1.5 mm from i = 2; voxel (0, 6, 4) from (0, 3, 2): 3 * 2 and 2 * 1.5 mm,
    # sqrt(45). From the prediction: 6 * 0; of (0..3, 3, 2) to the line: sqrt(6^2 + 3^2) = sqrt(45)
    # each. 95th percentiles: of 9, rank 7.6, between 1.5 and sqrt(45); of 10, rank 8.55: sqrt(45).
    reference = np.zeros(SHAPE, dtype=np.uint8)
    prediction = np.zeros(SHAPE, dtype=np.uint8)
    reference[0:8, 0, 0] = 1
    reference[0, 6, 4] = 1  # 2.25 mm3: no lesion
    prediction[2:8, 0, 0] = 255
    prediction[0:4, 3, 2] = 255
    away = 45**0.5
    assert score(reference, prediction).as_dict() == {
        "dice": 12 / 19,
        "jaccard": 6 / 13,
        "sensitivity": 6 / 9,
        "specificity": 302 / 306,
        "ppv": 6 / 10,
        "npv": 302 / 305,
        "relative_volume_error_pct": 100 / 9,
        "hausdorff_mm": pytest.approx(away),
        "hd95_mm": pytest.approx(away),
        "contour_mean_distance_mm": pytest.approx(4 * away / 10),
        "assd_mm": pytest.approx((2.25 + 5 * away) / 19),
        "lesion_sensitivity": 1 / 1,
        "lesion_ppv": 1 / 2,
        "lesion_f1": 1 / 1.5,
        "ltpr": 1 / 1,
        "lfpr": 1 / 2,
        "n_reference_lesions": 1,
        "n_predicted_lesions": 2,
        "reference_volume_mm3": 18.0,  # 8 * 2.25
        "predicted_volume_mm3": 22.5,  # 10 * 2.25
        "tp_voxels": 6,
        "fp_voxels": 4,
        "fn_voxels": 3,
        "definition": MSSEG2016.as_dict(),
        "notes": [],
    }


def test_of_an_empty_reference_only_the_false_lesions_are_reported() -> None:
    prediction = np.zeros(SHAPE, dtype=np.uint8)
    prediction[0:4, 0, 0] = 1
    prediction[8, 6, 4] = 1  # too small
    told = {
        name: value
        for name, value in score(np.zeros(SHAPE), prediction).metrics().items()
        if value is not None
    }
    assert told == {
        "n_predicted_lesions": 1,
        "predicted_volume_mm3": 9.0,  # 4 * 2.25
        "tp_voxels": 0,
        "fp_voxels": 5,
        "fn_voxels": 0,
    }


def test_the_metrics_come_in_the_order_of_reports() -> None:
    reference = np.zeros(SHAPE, dtype=np.uint8)
    reference[0:8, 0, 0] = 1
    assert " ".join(score(reference, reference).metrics()) == (
        "dice jaccard sensitivity specificity ppv npv relative_volume_error_pct hausdorff_mm "
        "hd95_mm contour_mean_distance_mm assd_mm lesion_sensitivity lesion_ppv lesion_f1 ltpr "
        "lfpr n_reference_lesions n_predicted_lesions reference_volume_mm3 predicted_volume_mm3 "
        "tp_voxels fp_voxels fn_voxels"
    )


def test_of_an_empty_prediction_ppv_and_distances_are_undefined_and_the_rest_0() -> None:
    reference = np.zeros(SHAPE, dtype=np.uint8)
    reference[0:4, 0, 0] = 1
    metrics = score(reference, np.zeros(SHAPE)).metrics()
    zeros = ["dice", "jaccard", "sensitivity", "lesion_sensitivity", "lesion_ppv", "lesion_f1"]
    assert [metrics[name] for name in [*zeros, "ltpr"]] == [0.0] * 7
    undefined = {name for name, value in metrics.items() if value is None}
    distances = {"hausdorff_mm", "hd95_mm", "contour_mean_distance_mm", "assd_mm"}
    assert undefined == {"ppv", "lfpr"} | distances
    assert (metrics["n_predicted_lesions"], metrics["predicted_volume_mm3"]) == (0, 0.0)


def test_a_prediction_of_one_value_everywhere_counts_as_empty() -> None:
    reference = np.zeros(SHAPE, dtype=np.uint8)
    reference[0:4, 0, 0] = 1
    scored = score(reference, np.ones(SHAPE))
    assert scored.metrics() == score(reference, np.zeros(SHAPE)).metrics()
    assert scored.notes == (
        "prediction: lesion in every voxel, which marks nothing; counted as empty",
    )


def test_the_notes_of_both_images_come_together() -> None:
    reference = np.zeros(SHAPE, dtype=np.uint8)
    reference[0:4, 0, 0] = (1, 1, 2, 2)
    prediction = np.zeros(SHAPE, dtype=np.float32)
    prediction[0:4, 0, 0] = 0.75
    scored = score_case(
        reference, prediction, spacing_mm=SPACING_MM, definition=MSSEG2016, threshold=0.5
    )
    assert scored.notes == (
        "reference: 2 labels (1, 2) taken together as lesion",
        "prediction: a probability map; lesion is above 0.5",
    )
    assert scored.metrics()["dice"] == 1.0


@pytest.mark.parametrize(
    ("reference", "prediction"),
    [((4, 3, 2), (2, 3, 4)), ((4, 3, 2), (4, 3, 2, 2)), ((4, 3), (4, 3))],
)
def test_arrays_that_are_not_one_grid_of_three_axes_are_refused(
    reference: tuple[int, ...], prediction: tuple[int, ...]
) -> None:
    with pytest.raises(GeometryError, match="want reference and prediction with one shape"):
        score(np.zeros(reference), np.zeros(prediction))
