from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from common.arrays import FloatArray
from common.errors import GeometryError
from common.imaging.volume import Volume, write_volume
from common.metrics.case import CaseScore, score_case, score_files
from common.metrics.presets import MSSEG2016
from tests.volumes import oblique_affine

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


def test_of_an_empty_reference_only_the_false_lesions_are_told() -> None:
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


def written(path: Path, data: NDArray[Any], affine: FloatArray) -> Path:
    write_volume(Volume(data, affine), path)
    return path


def a_line() -> NDArray[np.uint8]:
    data = np.zeros(SHAPE, dtype=np.uint8)
    data[1:7, 3, 2] = 1
    return data


def test_a_prediction_on_another_grid_is_refused_unless_it_may_be_resampled(
    tmp_path: Path,
) -> None:
    affine = oblique_affine(SPACING_MM)
    cropped = affine.copy()
    cropped[:3, 3] += affine[:3, :3] @ (1, 2, 0)  # its voxel 0 is voxel (1, 2, 0) of the reference
    reference = written(tmp_path / "reference.nii.gz", a_line(), affine)
    prediction = written(tmp_path / "prediction.nii.gz", a_line()[1:, 2:], cropped)
    with pytest.raises(GeometryError, match="on one grid"):
        score_files(reference, prediction, definition=MSSEG2016)
    scored = score_files(reference, prediction, definition=MSSEG2016, resample=True)
    assert scored.metrics()["dice"] == 1.0
    assert scored.metrics()["hausdorff_mm"] == 0.0
    [note] = scored.notes
    assert note.startswith("prediction: resampled by the nearest voxel from shape (8, 5, 5)")


def test_on_one_grid_nothing_is_resampled(tmp_path: Path) -> None:
    reference = written(tmp_path / "reference.nii.gz", a_line(), oblique_affine(SPACING_MM))
    scored = score_files(reference, reference, definition=MSSEG2016, resample=True)
    assert scored.notes == ()


def test_probabilities_on_another_grid_are_resampled_before_the_threshold(tmp_path: Path) -> None:
    affine = oblique_affine(SPACING_MM)
    backwards = affine @ np.array(
        [[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=np.float64
    )
    reference = written(tmp_path / "reference.nii.gz", a_line(), affine)
    probability = (a_line() * np.float32(0.75))[::-1]
    prediction = written(tmp_path / "prediction.nii.gz", probability, backwards)
    scored = score_files(reference, prediction, definition=MSSEG2016, threshold=0.5, resample=True)
    assert scored.metrics()["dice"] == 1.0
    assert len(scored.notes) == 2


def test_lesion_outside_the_reference_is_left_out_with_a_note(tmp_path: Path) -> None:
    small = np.zeros((4, 4, 4), dtype=np.uint8)
    small[1:3, 1, 1] = 1
    large = np.zeros((8, 4, 4), dtype=np.uint8)
    large[1:3, 1, 1] = 1
    large[6, 2, 1:4] = 1  # three voxels beyond the reference's grid
    write_volume(Volume(small, np.diag([1.0, 1.0, 3.0, 1.0])), tmp_path / "reference.nii.gz")
    write_volume(Volume(large, np.diag([1.0, 1.0, 3.0, 1.0])), tmp_path / "prediction.nii.gz")
    scored = score_files(
        tmp_path / "reference.nii.gz",
        tmp_path / "prediction.nii.gz",
        definition=MSSEG2016,
        resample=True,
    )
    assert scored.metrics()["dice"] == 1.0
    assert scored.notes[1] == (
        "prediction: 3 lesion voxels lie outside the reference's field of view and are left out"
    )
