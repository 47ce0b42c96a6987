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
