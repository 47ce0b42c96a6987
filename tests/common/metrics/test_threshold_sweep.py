"""Voxels measure 1 x 0.5 x 2 mm = 1 mm3, so a lesion of `msseg2016` has 4 voxels or more."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from common.arrays import BoolArray, Float32Array
from common.errors import GeometryError, SiteDataError
from common.metrics.case import score_case
from common.metrics.presets import MSSEG2016
from common.metrics.threshold_sweep import THRESHOLDS, ThresholdCounts, sweep_thresholds

SPACING_MM = (1.0, 0.5, 2.0)
SHAPE = (40, 5, 4)


def sweep(
    probability: NDArray[np.floating],
    reference: BoolArray,
    thresholds: tuple[float, ...] = THRESHOLDS,
    min_voxels: int = 1,
) -> list[ThresholdCounts]:
    return sweep_thresholds(
        probability,
        reference,
        spacing_mm=SPACING_MM,
        definition=MSSEG2016,
        thresholds=thresholds,
        min_voxels=min_voxels,
    )


def half_sure() -> tuple[Float32Array, BoolArray]:
    """One lesion of 8 voxels, 4 of them at 0.9 and 4 at 0.4, and 4 voxels at 0.3 far from it."""
    reference = np.zeros(SHAPE, np.bool_)
    reference[10:18, 1, 1] = True
    probability = np.zeros(SHAPE, np.float32)
    probability[10:14, 1, 1] = 0.9
    probability[14:18, 1, 1] = 0.4
    probability[30:34, 3, 2] = 0.3
    return probability, reference


@pytest.mark.parametrize(
    ("threshold", "dice", "lesion_f1"),
    [
        pytest.param(0.25, 16 / 20, 2 / 3, id="12 found, 8 right; of 2 predicted lesions 1 right"),
        pytest.param(0.35, 1.0, 1.0, id="the reference itself"),
        pytest.param(0.5, 8 / 12, 1.0, id="half of the lesion, which is enough to detect it"),
        pytest.param(0.9, 0.0, 0.0, id="0.9 is not above 0.9: nothing found"),
    ],
)
def test_a_lesion_found_with_two_degrees_of_certainty(
    threshold: float, dice: float, lesion_f1: float
) -> None:
    [at] = sweep(*half_sure(), thresholds=(threshold,))
    assert at.threshold == threshold
    assert at.voxels.dice == pytest.approx(dice)
    assert at.lesions.lesion_f1 == pytest.approx(lesion_f1)


@pytest.mark.parametrize(
    ("threshold", "min_voxels", "dice", "lesion_f1"),
    [
        pytest.param(0.25, 4, 16 / 20, 2 / 3, id="4 voxels are not fewer than 4"),
        pytest.param(0.25, 5, 1.0, 1.0, id="the 4 voxels far away go, the lesion of 8 stays"),
        pytest.param(0.5, 5, 0.0, 0.0, id="of the lesion 4 are found: too few"),
        pytest.param(0.25, 9, 0.0, 0.0, id="nothing is large enough; the reference keeps its 8"),
    ],
)
def test_lesions_that_are_too_small_are_dropped_at_each_threshold(
    threshold: float, min_voxels: int, dice: float, lesion_f1: float
) -> None:
    [at] = sweep(*half_sure(), thresholds=(threshold,), min_voxels=min_voxels)
    assert at.voxels.dice == pytest.approx(dice)
    assert at.lesions.lesion_f1 == pytest.approx(lesion_f1)
    assert at.voxels.tn + at.voxels.fp + at.voxels.fn + at.voxels.tp == 40 * 5 * 4


def test_the_grid_is_every_twentieth_between_0_and_1() -> None:
    assert len(THRESHOLDS) == 19
    np.testing.assert_allclose(THRESHOLDS, np.arange(1, 20) / 20, atol=1e-12)


VALUES = (0.0, 0.02, 0.05, 0.1, 0.33, 0.6, 0.95, 0.99, 1.0)
ON_AND_BESIDE_THE_GRID = [float(np.float32(value)) for value in VALUES]
SMALL = (4, 3, 5)


@given(
    hnp.arrays(np.float32, SMALL, elements=st.sampled_from(ON_AND_BESIDE_THE_GRID)),
    hnp.arrays(np.bool_, SMALL),
    st.sampled_from([np.float32, np.float64]),
)
def test_the_counts_are_those_of_scoring_one_threshold_at_a_time(
    probability: Float32Array, reference: BoolArray, dtype: type[np.floating]
) -> None:
    probability = probability.astype(dtype)
    for at in sweep(probability, reference, thresholds=(0.05, 0.33, 0.6, 0.95)):
        score = score_case(
            reference,
            probability,
            spacing_mm=SPACING_MM,
            definition=MSSEG2016,
            threshold=at.threshold,
        )
        assert at.voxels == score.voxels
        assert at.lesions == score.lesions


def test_without_a_lesion_anywhere_both_figures_are_undefined() -> None:
    nothing = np.zeros(SHAPE, np.float32)
    for at in sweep(nothing, nothing > 0):
        assert at.voxels.dice is None
        assert at.lesions.lesion_f1 is None
        assert at.voxels.tn == nothing.size


@pytest.mark.parametrize("value", [np.nan, -0.1, 1.5])
def test_what_is_no_probability_is_refused(value: float) -> None:
    probability, reference = half_sure()
    probability[0, 0, 0] = value
    with pytest.raises(SiteDataError, match="want probabilities from 0 to 1, found values between"):
        sweep(probability, reference)


def test_another_shape_is_refused() -> None:
    probability, reference = half_sure()
    with pytest.raises(GeometryError, match=r"one shape \(i, j, k\), got \(40, 5, 4\) and \(39"):
        sweep(probability, reference[1:])
