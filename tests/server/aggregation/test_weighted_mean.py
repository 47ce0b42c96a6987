from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UpdateRejected
from common.wire.field_types import Arrays
from server.aggregation.apply_update import apply_update
from server.aggregation.interface import Aggregate
from server.aggregation.registry import AGGREGATIONS
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


MEAN, VARIANCE = "network.norm.running_mean", "network.norm.running_var"


def norm_of(mean: list[float], variance: list[float]) -> Arrays:
    return {MEAN: np.array(mean), VARIANCE: np.array(variance)}


def after_a_round(start: Arrays, at_sites: list[Arrays], weights: list[float]) -> Arrays:
    aggregate = WeightedMean(start, largest_share=1)  # each site as its cases: none is bounded
    for number, (site, weight) in enumerate(zip(at_sites, weights, strict=True)):
        change = {name: site[name] - start[name] for name in start}
        aggregate.accumulate(f"site-{number}", change, weight)
    return apply_update(start, aggregate.result())


def test_a_running_variance_holds_the_spread_between_sites() -> None:
    """Means -2 and 6, weights 1 and 3: 4 over all; 1/4 of 36 and 3/4 of 4 make 12 between sites.

    Within sites 1/4 of 5 and 3/4 of 1 make 2.
    """
    start = norm_of([10.0], [7.0])
    found = after_a_round(start, [norm_of([-2.0], [5.0]), norm_of([6.0], [1.0])], [1.0, 3.0])
    assert found[MEAN] == pytest.approx(4.0)
    assert found[VARIANCE] == pytest.approx(2.0 + 12.0)


@given(
    st.lists(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6), min_size=1, max_size=5),
    st.floats(-1e6, 1e6),
    st.floats(0, 1e6),
)
def test_running_statistics_are_those_of_all_sites_values_together(
    values: list[list[float]], start_mean: float, start_variance: float
) -> None:
    start = norm_of([start_mean], [start_variance])
    at_sites = [norm_of([float(np.mean(at_site))], [float(np.var(at_site))]) for at_site in values]
    found = after_a_round(start, at_sites, [float(len(at_site)) for at_site in values])
    together = np.concatenate([np.array(at_site) for at_site in values])
    # the start cancels only to float64's rounding of it
    assert found[MEAN][0] == pytest.approx(together.mean(), rel=1e-9, abs=1e-8)
    assert found[VARIANCE][0] == pytest.approx(together.var(), rel=1e-9, abs=1e-6)


def test_sites_with_one_mean_have_no_variance_between_them() -> None:
    start = norm_of([1e6, -3.0], [2.0, 0.5])
    site = norm_of([-1e6, 0.1], [4.0, 0.0])
    found = after_a_round(start, [site] * 3, [0.3, 7.0, 1e-3])
    np.testing.assert_array_equal(found[VARIANCE], [4.0, 0.0])


def test_other_arrays_have_no_statistics_and_are_averaged() -> None:
    lone: Arrays = {"a.running_mean": np.zeros(1), "b.running_var": np.zeros(1)}
    mean = WeightedMean(lone)
    for change in (1.0, 3.0):
        mean.accumulate("ghent", {name: np.array([change]) for name in lone}, 1)
    assert mean.result() == {"a.running_mean": [2.0], "b.running_var": [2.0]}


@pytest.mark.parametrize("rule", AGGREGATIONS.values())
@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(norm_of([0.0], [-0.75]), "running_var would be below 0", id="0.5 - 0.75"),
        pytest.param(norm_of([-2e18], [0.0]), r"running_mean moves by more than 1e\+18", id="far"),
    ],
)
def test_statistics_that_no_site_measures_are_refused_with_its_name(
    rule: type[Aggregate], change: Arrays, words: str
) -> None:
    aggregate = rule(norm_of([0.0], [0.5]))
    aggregate.accumulate("lyon", norm_of([1.0], [-0.5]), 1)
    with pytest.raises(UpdateRejected, match=f"site ghent: .*{words}"):
        aggregate.accumulate("ghent", change, 1)
    np.testing.assert_equal(aggregate.result(), norm_of([1.0], [-0.5]))
