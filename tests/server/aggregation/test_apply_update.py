from __future__ import annotations

import numpy as np
import pytest

from common.errors import UpdateRejected
from common.wire.field_types import Arrays
from server.aggregation.apply_update import apply_update, change_norm


def test_parameters_move_by_the_mean_change_and_keep_their_dtype() -> None:
    start: Arrays = {"w": np.array([1.0, -2.0], np.float32), "n": np.array(5, np.int64)}
    change: Arrays = {"w": np.array([-0.5, 0.25], np.float32), "n": np.array(-2, np.int64)}
    end = apply_update(start, change)
    np.testing.assert_array_equal(end["w"], np.array([0.5, -1.75], np.float32))
    assert end["w"].dtype == np.float32
    assert end["n"] == 3
    np.testing.assert_array_equal(start["w"], [1.0, -2.0])


def test_a_change_of_other_parameters_is_refused() -> None:
    with pytest.raises(UpdateRejected, match="does not name the parameters"):
        apply_update({"w": np.zeros(1)}, {"v": np.zeros(1)})


def test_the_length_of_a_change_is_over_all_its_arrays() -> None:
    # sqrt(2**2 + 3**2 + 6**2) = 7
    assert change_norm({"a": np.array([2.0, -3.0]), "b": np.array([[6.0]], np.float32)}) == 7.0


@pytest.mark.parametrize(
    ("start", "change", "words"),
    [
        pytest.param(3e38, 3e38, "makes w infinite", id="beyond float32"),
        pytest.param(1.0, np.nan, "makes w infinite", id="no number"),
        pytest.param(-1.0, -1e6, "makes w larger than 1e\\+06", id="beyond any network"),
    ],
)
def test_parameters_that_no_network_can_compute_with_are_refused(
    start: float, change: float, words: str
) -> None:
    arrays: tuple[Arrays, Arrays] = (
        {"w": np.array([start], np.float32)},
        {"w": np.array([change], np.float32)},
    )
    with np.errstate(over="ignore"), pytest.raises(UpdateRejected, match=words):
        apply_update(*arrays)


def test_measured_statistics_and_counts_may_be_large() -> None:
    start: Arrays = {"n.running_var": np.array([1.0], np.float32), "n.count": np.array(1)}
    change: Arrays = {"n.running_var": np.array([1e9], np.float32), "n.count": np.array(10**9)}
    assert apply_update(start, change)["n.count"] == 10**9 + 1
