from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.imaging.standardization.brain_voxels import Voxels
from common.imaging.standardization.landmark_map import Landmarks, piecewise, smooth

Map = Callable[[Voxels, Landmarks, Landmarks], Voxels]
FROM = np.array([2.0, 10.0, 18.0])
TO = np.array([0.5, 1.0, 1.25])


def rising(start: float, steps: list[float]) -> Landmarks:
    return start + np.cumsum([0.0, *steps])


rows = st.builds(
    rising, st.floats(-100, 100), st.lists(st.floats(0.01, 100), min_size=2, max_size=2)
)


def test_piecewise_is_straight_between_landmarks_and_past_the_ends() -> None:
    # below 10: 0.5 / 8 = 1/16 a unit; above: 0.25 / 8 = 1/32
    voxels = np.array([-6.0, 2, 6, 10, 14, 18, 26])
    np.testing.assert_allclose(
        piecewise(voxels, FROM, TO), [0, 0.5, 0.75, 1, 1.125, 1.25, 1.5], atol=1e-15
    )


def test_smooth_is_the_parabola_through_three_landmarks_drawn_straight_on() -> None:
    # y = 1 + 3/64 (x - 10) - (x - 10)^2 / 512: 0.5 at 2, 1.25 at 18; slopes 5/64 and 1/64 there.
    # at 6: 1 - 3/16 - 1/32; at 14: 1 + 3/16 - 1/32; at -6: 0.5 - 5/8; at 26: 1.25 + 1/8
    voxels = np.array([-6.0, 2, 6, 10, 14, 18, 26])
    expected = [-0.125, 0.5, 0.78125, 1, 1.15625, 1.25, 1.375]
    np.testing.assert_allclose(smooth(voxels, FROM, TO), expected, atol=1e-14)


def test_smooth_still_rises_where_the_parabola_would_fall() -> None:
    # pieces of slope 1 and 0.1: the parabola has 1.45 at 0, 0.55 at 1 and -0.35 at 2; bounded by
    # the flatter piece 1.45, 0.3 and 0.1 / 3. Hermite halfway: mean + (slope - slope) / 8
    voxels = np.array([0.5, 1.5, 3])
    expected = [0.5 + (1.45 - 0.3) / 8, 1.05 + (0.3 - 0.1 / 3) / 8, 1.1 + 0.1 / 3]
    curve = smooth(voxels, np.array([0.0, 1, 2]), np.array([0.0, 1, 1.1]))
    np.testing.assert_allclose(curve, expected)


@pytest.mark.parametrize("map", [piecewise, smooth])
@given(landmarks=rows, template=rows)
def test_every_landmark_arrives_and_the_map_rises(
    map: Map, landmarks: Landmarks, template: Landmarks
) -> None:
    np.testing.assert_allclose(map(landmarks, landmarks, template), template, rtol=1e-7, atol=1e-7)
    voxels = np.linspace(landmarks[0] - 50, landmarks[-1] + 50, 400)
    steps = np.diff(map(voxels, landmarks, template))
    assert np.all(steps > -1e-9 * np.abs(template).max())


@pytest.mark.parametrize("map", [piecewise, smooth])
def test_a_straight_map_stays_straight(map: Map) -> None:
    voxels = np.array([-3.0, 0.5, 4, 11, 50])
    np.testing.assert_allclose(map(voxels, FROM, 3 * FROM - 7), 3 * voxels - 7)


def test_smooth_has_no_corner_where_piecewise_has_one() -> None:
    around = np.array([10 - 1e-5, 10, 10 + 1e-5])
    below, above = np.diff(smooth(around, FROM, TO)) * 1e5
    assert above == pytest.approx(below, rel=1e-4)
    below, above = np.diff(piecewise(around, FROM, TO)) * 1e5
    assert above == pytest.approx(below / 2, rel=1e-4)
