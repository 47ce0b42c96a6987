from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.metrics.cohort import (
    Case,
    FalseDetections,
    PatientLevel,
    false_detections,
    isbi_score,
    patient_level,
)
from common.metrics.presets import MSSEG2016

SPACING = (0.5, 1.0, 2.0)  # 1 mm3 a voxel: a lesion has at least 4 voxels


def scan(n_reference: int | None, n_predicted: int, volume_mm3: float = 0.0) -> Case:
    """A scan with so many lesions; None is an empty reference."""
    return {
        "lesion_f1": None if n_reference is None else 0.0,
        "n_reference_lesions": n_reference,
        "n_predicted_lesions": n_predicted,
        "predicted_volume_mm3": volume_mm3,
    }


def test_a_scan_is_found_when_anything_is_predicted_in_it() -> None:
    # bearing: 3, 1, 5 lesions, something predicted in the first two: 2 of 3
    # free: empty with nothing, empty with 4, small components only with nothing: 2 of 3
    figures = patient_level(
        [scan(3, 1), scan(1, 9), scan(5, 0), scan(None, 0), scan(None, 4), scan(0, 0)]
    )
    assert figures == PatientLevel(n_bearing=3, n_bearing_found=2, n_free=3, n_free_clean=2)
    assert figures.sensitivity == 2 / 3
    assert figures.specificity == 2 / 3


def test_without_such_scans_the_patient_level_is_undefined() -> None:
    assert patient_level([scan(2, 1)]).specificity is None
    assert patient_level([scan(None, 1)]).sensitivity is None
    assert patient_level([]).sensitivity is None


def test_false_detections_are_averaged_over_cases_with_an_empty_reference() -> None:
    cases = [
        scan(None, 0),
        scan(None, 3, 30.0),
        scan(None, 1, 15.0),
        scan(2, 7, 700.0),  # has lesions
        scan(0, 5, 500.0),  # components that are too small: it has a lesion F1, of 0
    ]
    # counts 0 + 3 + 1 over 3 cases, volumes 0 + 30 + 15 over 3 cases
    assert false_detections(cases) == FalseDetections(
        n=3, n_perfect=1, mean_count=4 / 3, mean_volume_mm3=15.0
    )


def test_without_an_empty_reference_there_are_no_false_detections_to_average() -> None:
    assert false_detections([scan(2, 7, 700.0)]) == FalseDetections(
        n=0, n_perfect=0, mean_count=None, mean_volume_mm3=None
    )


@pytest.mark.parametrize("n_reference_voxels", [0, 3, 4])
@pytest.mark.parametrize("n_predicted_voxels", [0, 3, 4])
def test_a_case_is_either_in_the_mean_lesion_f1_or_among_the_false_detections(
    n_reference_voxels: int, n_predicted_voxels: int
) -> None:
    from common.metrics.case import score_case

    reference, prediction = np.zeros((2, 5, 4, 3), bool)
    reference[0, :n_reference_voxels, 0] = True
    prediction[0, 0, :n_predicted_voxels] = True
    reference = reference.reshape(5, 4, 3)
    prediction = prediction.reshape(5, 4, 3)
    case = score_case(reference, prediction, spacing_mm=SPACING, definition=MSSEG2016).metrics()

    assert (case["lesion_f1"] is not None) + false_detections([case]).n == 1


def isbi_case(
    dice: float | None,
    *,
    ppv: float | None,
    lfpr: float | None,
    ltpr: float | None,
    volumes: tuple[float | None, float],
) -> Case:
    reference, predicted = volumes
    return {
        "dice": dice,
        "ppv": ppv,
        "lfpr": lfpr,
        "ltpr": ltpr,
        "reference_volume_mm3": reference,
        "predicted_volume_mm3": predicted,
    }


def test_the_isbi_score_is_the_weighted_sum_of_its_components() -> None:
    figures = isbi_score(
        [
            isbi_case(0.5, ppv=0.5, lfpr=0.25, ltpr=0.5, volumes=(100.0, 300.0)),
            isbi_case(0.75, ppv=1.0, lfpr=0.75, ltpr=0.0, volumes=(200.0, 100.0)),
            isbi_case(0.25, ppv=0.0, lfpr=0.5, ltpr=0.25, volumes=(300.0, 200.0)),
        ]
    )
    # volumes from their means of 200: (-1, 0, 1) and (1, -1, 0): -1 / (sqrt 2 sqrt 2) = -1/2
    assert figures.volume_correlation == pytest.approx(-0.5)
    # 0.5 / 8 + 0.5 / 8 + (1 - 0.5) / 4 + 0.25 / 4 - 0.5 / 4 = 1/8 + 1/8 + 1/16 - 1/8
    assert figures.score == pytest.approx(3 / 16)


def test_an_undefined_component_leaves_its_case_out_of_that_mean_only() -> None:
    figures = isbi_score(
        [
            isbi_case(0.5, ppv=0.5, lfpr=0.25, ltpr=0.5, volumes=(100.0, 50.0)),
            isbi_case(0.0, ppv=None, lfpr=None, ltpr=0.0, volumes=(200.0, 0.0)),
            isbi_case(None, ppv=None, lfpr=None, ltpr=None, volumes=(None, 0.0)),
        ]
    )
    assert (figures.n, figures.dice, figures.ppv, figures.lfpr, figures.ltpr) == (
        3,
        0.25,
        0.5,
        0.25,
        0.25,
    )
    # volumes (100, 200, 0) and (50, 0, 0), from their means (0, 100, -100) and (100, -50, -50) / 3:
    # (-5000 + 5000) / 3 = 0
    assert figures.volume_correlation == pytest.approx(0.0)
    assert figures.score == pytest.approx(0.25 / 8 + 0.5 / 8 + 0.75 / 4 + 0.25 / 4)


@pytest.mark.parametrize(
    "volumes",
    [
        pytest.param([], id="no case"),
        pytest.param([(100.0, 50.0)], id="one case"),
        pytest.param([(100.0, 50.0), (100.0, 70.0)], id="one reference volume"),
        pytest.param([(100.0, 50.0), (200.0, 50.0)], id="one predicted volume"),
    ],
)
def test_without_variance_there_is_no_isbi_score(volumes: list[tuple[float, float]]) -> None:
    figures = isbi_score(
        [isbi_case(0.5, ppv=0.5, lfpr=0.25, ltpr=0.5, volumes=pair) for pair in volumes]
    )
    assert figures.volume_correlation is None
    assert figures.score is None


@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
        min_size=2,
        max_size=8,
    )
)
def test_the_correlation_of_volumes_stays_within_its_bounds(
    volumes: list[tuple[int, int]],
) -> None:
    cases = [isbi_case(0.5, ppv=0.5, lfpr=0.5, ltpr=0.5, volumes=pair) for pair in volumes]
    correlation = isbi_score(cases).volume_correlation
    assert correlation is None or abs(correlation) <= 1 + 1e-9
