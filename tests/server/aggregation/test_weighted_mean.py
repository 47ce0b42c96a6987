from __future__ import annotations

import numpy as np
import pytest

from common.errors import UpdateRejected
from common.wire.messages import Arrays
from server.aggregation.weighted_mean import WeightedMean

LIKE: Arrays = {"w": np.zeros(2, np.float32), "n": np.zeros((), np.int64)}


def reply(first: float, second: float, count: int = 0) -> Arrays:
    return {"w": np.array([first, second], np.float32), "n": np.array(count, np.int64)}


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param((1.0, 1.0), [-1.0, 3.0], id="(-4 + 2) / 2 and (6 + 0) / 2"),
        pytest.param((1.0, 3.0), [0.5, 1.5], id="1/4 of -4 plus 3/4 of 2; 1/4 of 6"),
    ],
)
def test_the_mean_counts_each_reply_by_its_weight(
    weights: tuple[float, float], expected: list[float]
) -> None:
    mean = WeightedMean(LIKE)
    mean.accumulate("lyon", reply(-4, 6), weights[0])
    mean.accumulate("ghent", reply(2, 0), weights[1])
    np.testing.assert_array_equal(mean.result()["w"], np.array(expected, np.float32))


def test_dtypes_are_kept_and_whole_numbers_rounded() -> None:
    mean = WeightedMean(LIKE)
    mean.accumulate("lyon", reply(0, 0, count=3), 1)
    mean.accumulate("ghent", reply(0, 0, count=4), 2)  # (3 + 8) / 3 = 3.67
    result = mean.result()
    assert result["w"].dtype == np.float32
    assert result["n"].dtype == np.int64
    assert result["n"] == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_reply_that_is_not_finite_is_refused_with_its_site(value: float) -> None:
    mean = WeightedMean(LIKE)
    mean.accumulate("lyon", reply(1, 1), 1)
    with pytest.raises(UpdateRejected, match="site ghent: w has 1 values that are NaN or infinite"):
        mean.accumulate("ghent", reply(value, 1), 1)
    np.testing.assert_array_equal(mean.result()["w"], [1, 1])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        pytest.param({"w": np.zeros(2, np.float32)}, r"missing or unknown: \['n'\]", id="missing"),
        pytest.param(
            {**reply(0, 0), "x": np.zeros(1)}, r"missing or unknown: \['x'\]", id="unknown"
        ),
        pytest.param(
            {**reply(0, 0), "w": np.zeros(3, np.float32)},
            r"w should be float32\[2\], got float32\[3\]",
            id="shape",
        ),
        pytest.param(
            {**reply(0, 0), "w": np.zeros(2)}, r"w should be float32\[2\], got float64", id="dtype"
        ),
    ],
)
def test_a_reply_that_looks_different_is_refused(arrays: Arrays, words: str) -> None:
    with pytest.raises(UpdateRejected, match=f"site ghent: .*{words}"):
        WeightedMean(LIKE).accumulate("ghent", arrays, 1)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_must_be_above_zero_and_finite(weight: float) -> None:
    with pytest.raises(UpdateRejected, match="site ghent: want a weight above 0"):
        WeightedMean(LIKE).accumulate("ghent", reply(0, 0), weight)


def test_without_a_reply_there_is_no_mean() -> None:
    with pytest.raises(UpdateRejected, match="no update was accumulated: there is no mean"):
        WeightedMean(LIKE).result()


def test_small_changes_survive_many_large_ones() -> None:
    mean = WeightedMean({"w": np.zeros(1, np.float32)})
    mean.accumulate("big", {"w": np.array([2.0**25], np.float32)}, 1)
    for site in range(7):
        mean.accumulate(f"site-{site}", {"w": np.array([1.0], np.float32)}, 1)
    # in float32, 2**25 + 1 is 2**25 and the seven ones would be lost: (2**25 + 7) / 8
    assert mean.result()["w"][0] == np.float32((2**25 + 7) / 8)
