from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.metrics.lesion import LesionCounts
from common.metrics.operating_curves import (
    FrocPoint,
    PrecisionRecallPoint,
    average_precision,
    expected_calibration_error,
    froc,
    precision_recall,
    reliability,
    suspected_calibration_error,
)
from common.metrics.probability_counts import ProbabilityCounts, no_probabilities
from common.metrics.threshold_sweep import ThresholdCounts
from common.metrics.voxel import VoxelCounts


def counts(*bins: tuple[int, int, int, float]) -> ProbabilityCounts:
    """Counts with these bins filled: (bin, voxels, lesion voxels, mean probability)."""
    made = no_probabilities()
    for b, n_voxels, n_lesion, mean in bins:
        made.n_voxels[b] += n_voxels
        made.n_lesion_voxels[b] += n_lesion
        made.probability_sums[b] += n_voxels * mean
    return made


@st.composite
def any_counts(draw: st.DrawFn) -> ProbabilityCounts:
    filled = draw(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 50)), max_size=8))
    return counts(
        *((b, n, draw(st.integers(0, n)), (b + draw(st.floats(0, 0.99))) / 100) for b, n in filled)
    )


# 90 voxels at 0.02, 6 of them lesion; 8 at 0.40, 2 lesion; 2 at 0.95, both lesion: 10 of 100
THREE_BINS = counts((2, 90, 6, 0.02), (40, 8, 2, 0.40), (95, 2, 2, 0.95))


def test_precision_and_recall_at_each_threshold() -> None:
    at = {point.threshold: point for point in precision_recall(THREE_BINS)}

    # all: 10 of 100; from 0.03: 4 of 10; from 0.41: 2 of 2
    assert (at[0.0].precision, at[0.0].recall) == (0.1, 1.0)
    assert (at[0.02].precision, at[0.02].recall) == (0.1, 1.0)
    assert (at[0.03].precision, at[0.03].recall) == (0.4, 0.4)
    assert (at[0.4].precision, at[0.4].recall) == (0.4, 0.4)
    assert (at[0.41].precision, at[0.41].recall) == (1.0, 0.2)
    assert max(at) == 0.95  # nothing lies above


def test_average_precision_weighs_each_precision_by_the_recall_gained() -> None:
    # 1.0 * 0.2 + 0.4 * (0.4 - 0.2) + 0.1 * (1.0 - 0.4)
    assert average_precision(precision_recall(THREE_BINS)) == pytest.approx(0.34)


def test_a_single_threshold_has_the_average_of_its_only_step() -> None:
    point = PrecisionRecallPoint(threshold=0.5, precision=0.6, recall=0.5)
    assert average_precision([point]) == pytest.approx(0.3)


def test_without_a_lesion_there_is_no_precision_recall_curve() -> None:
    assert precision_recall(counts((3, 5, 0, 0.03))) == []
    assert average_precision([]) is None


@given(any_counts())
def test_the_curve_begins_with_everything_found_and_recall_never_rises(
    made: ProbabilityCounts,
) -> None:
    points = precision_recall(made)

    if points:
        share = made.n_lesion_voxels.sum() / made.n_voxels.sum()
        assert (points[0].threshold, points[0].recall) == (0.0, 1.0)
        assert points[0].precision == pytest.approx(share)
        recalls = [point.recall for point in points]
        assert recalls == sorted(recalls, reverse=True)
        assert all(0 <= point.precision <= 1 for point in points)
        average = average_precision(points)
        assert average is not None
        assert 0 <= average <= 1 + 1e-12


def test_a_network_that_is_sure_and_right_has_an_average_precision_of_one() -> None:
    assert average_precision(precision_recall(counts((0, 90, 0, 0), (99, 9, 9, 1)))) == 1.0


def sweep(*at: tuple[float, int, int, int, int]) -> list[ThresholdCounts]:
    """One case: (threshold, reference, detected, predicted, confirmed lesions)."""
    return [
        ThresholdCounts(
            threshold=threshold,
            voxels=VoxelCounts(tp=0, fp=0, fn=0, tn=0),
            lesions=LesionCounts(
                n_reference=n_reference,
                n_detected=n_detected,
                n_predicted=n_predicted,
                n_confirmed=n_confirmed,
                n_touched=n_detected,
                n_untouching=n_predicted - n_confirmed,
                reference_volume_mm3=0.0,
                predicted_volume_mm3=0.0,
                reference_is_empty=n_reference == 0,
                prediction_is_empty=n_predicted == 0,
            ),
        )
        for threshold, n_reference, n_detected, n_predicted, n_confirmed in at
    ]


def test_froc_pools_lesions_and_averages_false_positives_over_cases() -> None:
    many = sweep((0.2, 8, 6, 10, 5), (0.6, 8, 3, 3, 3))
    few = sweep((0.2, 2, 1, 2, 1), (0.6, 2, 1, 1, 1))

    # 0.2: (6 + 1) / (8 + 2) found, (5 + 1) / 2 false a case; 0.6: (3 + 1) / 10 found, 0 false
    assert froc([many, few]) == [
        FrocPoint(threshold=0.2, false_positives_per_case=3.0, lesion_sensitivity=0.7),
        FrocPoint(threshold=0.6, false_positives_per_case=0.0, lesion_sensitivity=0.4),
    ]


def test_a_lesion_free_case_adds_false_positives_and_leaves_the_sensitivity() -> None:
    with_lesions, free = sweep((0.5, 4, 1, 2, 1)), sweep((0.5, 0, 0, 5, 0))

    # 1 / 4 found; (1 + 5) / 2 false a case
    [point] = froc([with_lesions, free])
    assert (point.lesion_sensitivity, point.false_positives_per_case) == (0.25, 3.0)


def test_without_a_reference_lesion_the_sensitivity_is_undefined() -> None:
    [point] = froc([sweep((0.5, 0, 0, 3, 0))])
    assert (point.lesion_sensitivity, point.false_positives_per_case) == (None, 3.0)


def test_froc_of_no_case_is_empty() -> None:
    assert froc([]) == []


def test_cases_swept_over_different_thresholds_are_refused() -> None:
    with pytest.raises(ValueError, match="one list of thresholds for all cases"):
        froc([sweep((0.5, 1, 1, 1, 1)), sweep((0.6, 1, 1, 1, 1))])


def test_ten_neighbouring_bins_make_one_of_the_diagram() -> None:
    # bins 40 and 49: 4 voxels with 1 lesion at 0.4, 1 voxel that is lesion at 0.49
    bins = reliability(counts((40, 4, 1, 0.4), (49, 1, 1, 0.49), (50, 3, 0, 0.5)))

    assert len(bins) == 10
    assert (bins[4].low, bins[4].high, bins[4].n_voxels) == (0.4, 0.5, 5)
    assert bins[4].lesion_share == pytest.approx(2 / 5)
    assert bins[4].mean_probability == pytest.approx((4 * 0.4 + 0.49) / 5)
    assert bins[5].n_voxels == 3


def test_a_bin_without_a_voxel_has_neither_share_nor_mean() -> None:
    empty = reliability(no_probabilities())[7]
    assert (empty.n_voxels, empty.lesion_share, empty.mean_probability) == (0, None, None)


def test_the_calibration_error_weighs_each_bin_by_its_voxels() -> None:
    # 0.9 * |6/90 - 0.02| + 0.08 * |2/8 - 0.40| + 0.02 * |1 - 0.95| = 0.042 + 0.012 + 0.001
    assert expected_calibration_error(THREE_BINS) == pytest.approx(0.055)


def test_the_error_of_suspected_tissue_leaves_the_sure_background_out() -> None:
    # 8/10 * |0.25 - 0.40| + 2/10 * |1 - 0.95| = 0.12 + 0.01
    assert suspected_calibration_error(THREE_BINS) == pytest.approx(0.13)


def test_without_voxels_the_calibration_error_is_undefined() -> None:
    assert expected_calibration_error(no_probabilities()) is None
    assert suspected_calibration_error(counts((9, 5, 1, 0.09))) is None


def test_a_perfectly_calibrated_map_has_no_error() -> None:
    # in each bin the share of lesion is the probability: 1 of 4 at 0.25, 9 of 10 at 0.9
    calibrated = counts((0, 50, 0, 0.0), (25, 4, 1, 0.25), (90, 10, 9, 0.9), (99, 7, 7, 1.0))

    assert expected_calibration_error(calibrated) == pytest.approx(0, abs=1e-12)
    assert suspected_calibration_error(calibrated) == pytest.approx(0, abs=1e-12)


def test_a_network_that_is_sure_and_always_wrong_has_an_error_of_one() -> None:
    assert expected_calibration_error(counts((0, 5, 5, 0.0), (99, 5, 0, 1.0))) == 1.0


@given(any_counts())
def test_calibration_errors_lie_between_zero_and_one(made: ProbabilityCounts) -> None:
    for error in (expected_calibration_error(made), suspected_calibration_error(made)):
        assert error is None or 0 <= error <= 1 + 1e-12


@given(any_counts(), any_counts())
def test_the_error_of_two_maps_together_is_at_most_their_weighted_mean(
    one: ProbabilityCounts, other: ProbabilityCounts
) -> None:
    # what one map says too much can only cancel what the other says too little
    errors = [expected_calibration_error(made) or 0.0 for made in (one, other)]
    sizes = [int(made.n_voxels.sum()) for made in (one, other)]

    together = expected_calibration_error(one + other)

    if together is not None:
        assert together <= np.average(errors, weights=sizes) + 1e-12
