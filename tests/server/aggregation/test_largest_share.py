from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire.field_types import Arrays
from server.aggregation.largest_share import capped_weights, most_over_share
from server.aggregation.weighted_mean import WeightedMean


@pytest.mark.parametrize(
    ("weights", "largest_share", "expected"),
    [
        pytest.param([10_000_000, 1, 2], None, [10_000_000, 1, 2], id="three sites: no bound"),
        pytest.param([10_000_000, 1], None, [10_000_000, 1], id="two sites: no bound"),
        pytest.param([10_000_000, 1, 2, 3], None, [6, 1, 2, 3], id="6 of 6 + 1 + 2 + 3"),
        pytest.param([5, 1, 2, 2], None, [5, 1, 2, 2], id="a half is allowed"),
        pytest.param([9, 1, 2], 0.5, [3, 1, 2], id="a share that is named holds for three too"),
        pytest.param([9, 1], 0.25, [1, 1], id="of two sites never below an equal share"),
        pytest.param([40, 30, 1, 1, 1], 0.4, [6, 6, 1, 1, 1], id="two over it: 6 of 15"),
        pytest.param([40, 5, 1, 1, 1], 0.4, [16 / 3, 5, 1, 1, 1], id="one over it: 4/6 of 8"),
    ],
)
def test_no_site_has_more_than_its_share_of_the_sum_that_results(
    weights: list[float], largest_share: float | None, expected: list[float]
) -> None:
    sites = {f"site-{number}": weight for number, weight in enumerate(weights)}
    found = list(capped_weights(sites, largest_share).values())
    assert found == pytest.approx(expected, rel=1e-12)


WEIGHTS = st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=12)


@given(WEIGHTS, st.floats(0.1, 1))
def test_shares_are_bounded_and_order_is_kept(weights: list[float], share: float) -> None:
    sites = {str(number): weight for number, weight in enumerate(weights)}
    found = capped_weights(sites, share)
    most = max(share, 1 / len(weights)) * math.fsum(found.values())
    assert max(found.values()) <= most * (1 + 1e-6)
    assert all(found[site] <= weight for site, weight in sites.items())
    over = [site for site in sites if found[site] < sites[site]]
    assert len(over) <= most_over_share(
        share
    )  # so many updates are enough to take off what is over


@given(st.integers(1, 60), st.floats(0.1, 1))
def test_equal_sites_are_never_bounded(n_sites: int, share: float) -> None:
    sites = {str(number): 7.3 for number in range(n_sites)}
    assert capped_weights(sites, share) == sites


def mean_of(weights: list[float], changes: list[float], share: float | None) -> WeightedMean:
    mean = WeightedMean({"w": np.zeros(1, np.float32)}, largest_share=share)
    for number, (weight, change) in enumerate(zip(weights, changes, strict=True)):
        mean.accumulate(f"site-{number}", {"w": np.array([change], np.float32)}, weight)
    return mean


@pytest.mark.parametrize("first", [0, 3])
def test_a_site_that_says_it_has_ten_million_cases_is_a_half_of_the_mean(first: int) -> None:
    """Of 6 (bounded), 1, 2 and 3 cases: (6 * -8 + 1 * 2 + 2 * 4 + 3 * 6) / 12 = -20 / 12."""
    order = [first, *(n for n in range(4) if n != first)]
    weights, changes = [1e7, 1.0, 2.0, 3.0], [-8.0, 2.0, 4.0, 6.0]
    mean = mean_of([weights[n] for n in order], [changes[n] for n in order], None)
    assert float(mean.result()["w"][0]) == pytest.approx(-20 / 12, rel=1e-6)
    [(site, (found, allowed))] = mean.capped.items()
    assert site == f"site-{order.index(0)}"
    assert (found, allowed) == pytest.approx((1e7 / (1e7 + 6), 0.5))


@given(
    st.lists(st.floats(0.5, 100), min_size=1, max_size=8),
    st.floats(0.1, 1),
    st.randoms(use_true_random=False),
)
def test_the_mean_is_that_of_the_bounded_weights_whatever_the_order(
    weights: list[float], share: float, random: object
) -> None:
    changes = [(-1.0) ** n * (n + 1) for n in range(len(weights))]
    bounded = capped_weights({str(n): weight for n, weight in enumerate(weights)}, share)
    expected = np.average(changes, weights=list(bounded.values()))
    order = list(range(len(weights)))
    random.shuffle(order)  # type: ignore[attr-defined] # hypothesis gives a Random
    mean = mean_of([weights[n] for n in order], [changes[n] for n in order], share)
    assert float(mean.result()["w"][0]) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_a_sites_late_update_counts_within_its_share() -> None:
    """9 and 9 of one site among 1, 2, 3: 6 in all, of the one that came first."""
    mean = WeightedMean({"w": np.zeros(1, np.float32)})
    for site, weight, change in (("a", 9, -8), ("b", 1, 2), ("a", 9, 99), ("c", 2, 4), ("d", 3, 6)):
        mean.accumulate(site, {"w": np.array([change], np.float32)}, weight)
    assert float(mean.result()["w"][0]) == pytest.approx((6 * -8 + 2 + 8 + 18) / 12, rel=1e-6)


def test_what_is_taken_off_leaves_the_variance_between_the_sites() -> None:
    """Means -2, 6, 6, 6 of weights 3 (bounded from 1e7), 1, 1, 1: 2 over all, 16 between sites."""
    mean, variance = "n.running_mean", "n.running_var"
    like: Arrays = {mean: np.zeros(1, np.float32), variance: np.ones(1, np.float32)}
    aggregate = WeightedMean(like)
    for site, weight, moved in (("a", 1e7, -2), ("b", 1, 6), ("c", 1, 6), ("d", 1, 6)):
        change: Arrays = {
            mean: np.array([moved], np.float32),
            variance: np.zeros(1, np.float32),
        }
        aggregate.accumulate(site, change, weight)
    found = aggregate.result()
    assert found[mean] == pytest.approx(2.0, rel=1e-5)
    assert found[variance] == pytest.approx(16.0, rel=1e-5)
