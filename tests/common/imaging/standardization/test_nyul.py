from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SiteDataError
from common.imaging.standardization.nyul import (
    PERCENTILES,
    landmarks_on_scale,
    map_to_standard,
    nyul_landmarks,
)
from common.imaging.standardization.standardization import standardize

RAMP = np.arange(101.0)
"""Percentile p of 0 1 ... 100 is p."""
P = np.array(PERCENTILES, dtype=float)
BRAIN = np.ones((1, 1, 101), dtype=bool)


def as_image(voxels: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray:
    return voxels.reshape(1, 1, 101)


def test_landmarks_are_the_thirteen_percentiles_inside_the_brain() -> None:
    np.testing.assert_allclose(nyul_landmarks(3 * RAMP + 7), 3 * P + 7)
    assert len(P) == 13


def test_a_percentile_between_two_voxels_lies_on_the_line_between_them() -> None:
    # 0 10 20: percentile 40 lies 0.8 of the way through, at 8; percentile 75 at 1.5 steps, 15
    landmarks = nyul_landmarks(np.array([20.0, 0.0, 10.0]))
    assert landmarks[PERCENTILES.index(40)] == pytest.approx(8)
    assert landmarks[PERCENTILES.index(75)] == pytest.approx(15)


def test_the_ends_go_to_0_and_100_and_the_rest_linearly_along() -> None:
    # squares: percentile p is p * p, the ends 1 and 9801: 100 * (p * p - 1) / 9800
    np.testing.assert_allclose(
        landmarks_on_scale(as_image(RAMP**2), BRAIN), 100 * (P**2 - 1) / 9800
    )


@given(st.floats(1e-3, 1e4), st.floats(-500, 500))
def test_gain_and_offset_leave_the_scale_alone(gain: float, offset: float) -> None:
    np.testing.assert_allclose(
        landmarks_on_scale(as_image(gain * RAMP**2 + offset), BRAIN),
        landmarks_on_scale(as_image(RAMP**2), BRAIN),
        atol=1e-6,
    )


def test_voxels_outside_the_brain_do_not_count() -> None:
    image = np.concatenate([RAMP**2, [1e6, -1e6]]).reshape(1, 1, 103)
    np.testing.assert_allclose(
        landmarks_on_scale(image, np.abs(image) < 1e5),
        landmarks_on_scale(as_image(RAMP**2), BRAIN),
    )


def test_the_map_bends_at_each_landmark_and_runs_on_past_the_ends() -> None:
    # standard: landmark p at p * p. Between 40 and 50 (1600 to 2500) the slope is 90, so 43 goes to
    # 1870; below 1 (1 to 100 over 9 units) it is 11, so 0 goes to -10; above 99 (8100 to 9801 over
    # 9 units) it is 189, so 100 goes to 9990
    mapped = map_to_standard(RAMP, P**2)
    assert mapped.left_out is None
    np.testing.assert_allclose(mapped.voxels[PERCENTILES,], P**2)
    np.testing.assert_allclose(mapped.voxels[[43, 0, 100]], [1870, -10, 9990])


def test_an_image_mapped_to_its_own_landmarks_stays_as_it_is() -> None:
    np.testing.assert_allclose(map_to_standard(RAMP**2, P**2).voxels, RAMP**2)


def test_after_nyul_comes_the_z_score() -> None:
    # to its own scale the map is linear, and a z-score knows no linear map: (x - 50) / sqrt(850)
    standard = landmarks_on_scale(as_image(RAMP), BRAIN)
    standardized = standardize(
        as_image(RAMP), BRAIN, method="nyul", template_landmarks=standard
    ).image
    # the variance of 0 1 ... 100 is (101 * 101 - 1) / 12 = 850
    np.testing.assert_allclose(standardized.ravel(), (RAMP - 50) / np.sqrt(850), atol=1e-5)


@pytest.mark.parametrize(
    ("voxels", "standard", "reason"),
    [
        pytest.param(
            np.where((RAMP >= 38) & (RAMP <= 52), 45.0, RAMP),
            P,
            "percentiles 40 and 50 of the voxels in the brain mask are 45 and 45",
            id="half of the tissue on one grey level",
        ),
        pytest.param(
            # 24.95 to 25 of 1 to 99: 0.05 % of the range
            np.where(RAMP == 20, 24.95, RAMP)[[*range(20), *[20] * 5, *range(25, 101)]],
            P,
            "percentiles 20 and 25 .* nearer than 0.1% of the range",
            id="nearly equal",
        ),
        pytest.param(RAMP, np.minimum(P, 60), "do not rise", id="a standard that stands still"),
    ],
)
def test_step_1_is_left_out_with_the_reason(
    voxels: np.ndarray[tuple[int], np.dtype[np.float64]],
    standard: np.ndarray[tuple[int], np.dtype[np.float64]],
    reason: str,
) -> None:
    mapped = map_to_standard(voxels, standard)
    assert mapped.left_out is not None
    assert reason.split(" .* ")[0] in mapped.left_out
    assert reason.split(" .* ")[-1] in mapped.left_out
    np.testing.assert_array_equal(mapped.voxels, voxels)


def test_an_image_of_few_grey_levels_adds_nothing_to_the_standard() -> None:
    with pytest.raises(SiteDataError, match=r"percentiles 1 and 10 .* adds nothing"):
        landmarks_on_scale(as_image(np.repeat([3.0, 9.0], [60, 41])), BRAIN)
