from __future__ import annotations

import numpy as np
import pytest

from common.errors import UpdateRejected
from common.wire.field_types import Arrays
from server.aggregation.bounded_updates import (
    OPTIMIZER,
    ROUNDS_KNOWN,
    VARIATES,
    BoundedUpdates,
    Norms,
    norms_of,
)
from server.aggregation.interface import Aggregate
from server.aggregation.weighted_mean import WeightedMean

LIKE: Arrays = {"w": np.array([3.0, 4.0], np.float32)}
LARGEST = float(np.finfo(np.float32).max)


def change(first: float, second: float = 0.0) -> Arrays:
    return {"w": np.array([first, second], np.float32)}


class Order(WeightedMean):
    """The mean, which remembers in what order updates came."""

    def __init__(self, like: Arrays) -> None:
        super().__init__(like)
        self.order: list[str] = []

    def _add(self, site: str, update: Arrays, weight: float) -> None:
        self.order.append(site)
        super()._add(site, update, weight)


def bounded(aggregate: Aggregate, known: Norms | None = None, factor: float = 10) -> BoundedUpdates:
    return BoundedUpdates(aggregate, began=LIKE, known=known or {}, factor=factor)


def test_in_the_first_round_a_change_is_shortened_to_ten_times_the_median_of_the_round() -> None:
    """Of lengths 1, 2 and 3e38 the median is 2: 20 is allowed, (1 + 2 + 20) / 3."""
    updates = bounded(WeightedMean(LIKE))
    for site, first in (("a", LARGEST), ("b", 1.0), ("c", 2.0)):
        updates.accumulate(site, change(first), 1)
    np.testing.assert_allclose(updates.result()["w"], [23 / 3, 0], rtol=1e-6)
    [one] = updates.shortened
    assert (one.site, one.kind, one.allowed) == ("a", "change", 20.0)
    assert one.norm == pytest.approx(LARGEST)


def test_updates_within_the_bound_are_added_in_the_order_they_came_and_as_they_are() -> None:
    order = Order(LIKE)
    updates = bounded(order)
    for site, first in (("c", 1.0), ("a", -3.0), ("d", 2.0), ("b", 5.0)):
        updates.accumulate(site, change(first), 1)
    assert order.order == ["c", "a", "d", "b"]  # at once, but for the first two
    np.testing.assert_array_equal(updates.result()["w"], [1.25, 0])
    assert updates.shortened == []


def test_once_lengths_are_known_the_order_of_arrival_changes_no_bound() -> None:
    """Known 1, 1, 2 and 1, 2, 2: the median is 1.5, so 3 is allowed with a factor of 2."""
    known = {"change": ((1.0, 1.0, 2.0), (1.0, 2.0, 2.0))}
    for sites in (("a", "b", "c"), ("c", "b", "a")):
        updates = bounded(WeightedMean(LIKE), known, factor=2)
        for site in sites:
            updates.accumulate(site, change({"a": 100.0, "b": 2.0, "c": 1.0}[site]), 1)
        assert [(one.site, one.allowed) for one in updates.shortened] == [("a", 3.0)]
        np.testing.assert_allclose(updates.result()["w"], [2, 0], rtol=1e-6)


def test_one_of_two_sites_may_change_the_parameters_by_ten_times_their_length() -> None:
    """The parameters have length 5: 50 is allowed, (50 + 1) / 2."""
    updates = bounded(WeightedMean(LIKE), {"change": ((1.0, 1.0),)})  # two say nothing of a third
    updates.accumulate("a", change(LARGEST), 1)
    updates.accumulate("b", change(1.0), 1)
    np.testing.assert_allclose(updates.result()["w"], [25.5, 0], rtol=1e-6)
    assert [one.site for one in updates.shortened] == ["a"]


def test_each_kind_of_array_has_its_own_bound_and_squares_its_square() -> None:
    names = {
        "w": "change",
        "n.running_mean": "running means",
        "n.running_var": "running variances",
        "n.num_batches_tracked": "counts",
        f"{OPTIMIZER}exp_avg.w": "optimizer state exp_avg",
        f"{OPTIMIZER}exp_avg_sq.w": "optimizer state exp_avg_sq",
        f"{VARIATES}w": "control variates",
    }
    like: Arrays = {
        name: np.ones((), np.int64 if kind == "counts" else np.float32)
        for name, kind in names.items()
    }
    updates = BoundedUpdates(
        WeightedMean(like),
        began=like,
        known={kind: ((1.0,) * 3,) for kind in names.values()},
        factor=10,
    )
    update: Arrays = {name: np.asarray(1000 * array, array.dtype) for name, array in like.items()}
    updates.accumulate("a", update, 1)
    found = {one.kind: one.allowed for one in updates.shortened}
    squares = {"running variances", "optimizer state exp_avg_sq"}
    assert found == {kind: 100.0 if kind in squares else 10.0 for kind in names.values()}
    result = updates.result()
    assert result["w"] == pytest.approx(10)
    assert result["n.num_batches_tracked"] == 10
    assert result["n.num_batches_tracked"].dtype == np.int64


def test_lengths_are_kept_by_the_names_of_the_sites_for_the_last_rounds() -> None:
    known: Norms = {}
    for round_index in range(ROUNDS_KNOWN + 2):
        updates = bounded(WeightedMean(LIKE), known)
        for site, first in (("b", 2.0), ("c", -3.0), ("a", 1.0 + round_index)):
            updates.accumulate(site, change(first), 1)
        updates.result()
        known = updates.known_after(known)
    assert len(known["change"]) == ROUNDS_KNOWN
    assert known["change"][-1] == (ROUNDS_KNOWN + 2.0, 2.0, 3.0)


def test_where_nobody_changes_anything_nothing_is_shortened_to_nothing() -> None:
    updates = bounded(WeightedMean(LIKE), {"change": ((0.0, 0.0, 0.0),)})
    updates.accumulate("a", change(1.0), 1)
    np.testing.assert_array_equal(updates.result()["w"], [1, 0])


def test_an_update_that_cannot_be_added_is_refused_at_once_and_leaves_no_length() -> None:
    updates = bounded(WeightedMean(LIKE))
    with pytest.raises(UpdateRejected, match="site a: w has 1 values that are NaN or infinite"):
        updates.accumulate("a", change(np.nan), 1)
    updates.accumulate("b", change(1.0), 1)
    updates.result()
    assert updates.known_after({}) == {"change": ((1.0,),)}


def test_a_length_does_not_depend_on_where_its_array_lies_in_memory() -> None:
    values = np.random.default_rng(3).normal(size=5000).astype(np.float32)
    found = set()
    for start in range(16):
        room = np.zeros(values.size + 16, np.float32)
        room[start : start + values.size] = values
        found.add(norms_of({"w": room[start : start + values.size]})["change"])
    assert len(found) == 1
    assert found.pop() == pytest.approx(float(np.linalg.norm(values.astype(np.float64))), rel=1e-14)


def test_a_length_does_not_depend_on_the_order_of_the_arrays() -> None:
    """A checkpoint gives them back by their names."""
    generator = np.random.default_rng(4)
    arrays: Arrays = {str(number): generator.normal(size=7) for number in range(40)}
    assert norms_of(arrays) == norms_of(dict(reversed(arrays.items())))


def test_a_length_beyond_the_floats_is_the_largest_of_them() -> None:
    assert norms_of({"w": np.full(3, 1e300)}) == {"change": float(np.finfo(np.float64).max)}


def test_a_site_with_a_late_update_counts_once_in_the_median() -> None:
    began = {"w": np.ones(1, np.float32)}
    updates = BoundedUpdates(WeightedMean(began), began=began, known={}, factor=2.0)
    for site, length in (("a", 1.0), ("b", 1.0), ("c", 1e30), ("c", 1e30)):
        updates.accumulate(site, {"w": np.full(1, length, np.float32)}, 1.0)
    updates.result()

    (of_round,) = updates.known_after({})["change"]

    assert of_round[:2] == (1.0, 1.0)
    assert len(of_round) == 3
    # median of 1, 1 and 1e30 is 1; of 1, 1, 1e30 and 1e30 it would be 5e29
    assert {(one.site, one.allowed) for one in updates.shortened} == {("c", 2.0)}
