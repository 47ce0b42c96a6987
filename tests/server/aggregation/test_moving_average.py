from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire.field_types import Arrays
from server.aggregation.moving_average import moved_average


def arrays(value: float, count: int = 0) -> Arrays:
    return {
        "network.w": np.array([value, -2 * value], np.float32),
        "network.n": np.array(count, np.int64),
    }


def averaged(values: list[float], past: float) -> Arrays:
    average: Arrays = {}
    for index, value in enumerate(values, start=1):
        average = moved_average(average, arrays(value, index), past=past, round_index=index)
    return average


@pytest.mark.parametrize(
    ("values", "past", "expected"),
    [
        pytest.param([4.0], 0.5, 4.0, id="one round is its own average"),
        # weights 1/4, 1/2, 1 over their sum 7/4: (4/4 - 2/2 + 6) * 4/7
        pytest.param([4.0, -2.0, 6.0], 0.5, 24 / 7, id="4 / 7 of the last of three"),
        pytest.param([4.0, -2.0, 6.0], 0.0, 6.0, id="without a past the last"),
    ],
)
def test_each_round_counts_by_its_age_and_the_weights_sum_to_one(
    values: list[float], past: float, expected: float
) -> None:
    found = averaged(values, past)
    np.testing.assert_allclose(found["network.w"], [expected, -2 * expected], rtol=1e-6)
    assert found["network.w"].dtype == np.float32


def test_whole_numbers_are_the_last_round_s() -> None:
    found = averaged([1.0, 2.0, 3.0], 0.9)
    assert found["network.n"] == 3
    assert found["network.n"].dtype == np.int64


@given(st.floats(0, 0.999), st.integers(1, 40), st.integers(-100, 100))
def test_equal_rounds_are_their_own_average(past: float, n: int, value: int) -> None:
    found = averaged([value] * n, past)["network.w"]
    np.testing.assert_allclose(found, [value, -2 * value], rtol=1e-6)
