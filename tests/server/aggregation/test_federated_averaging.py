from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from common.errors import UpdateRejected
from common.wire.messages import Arrays, SiteUpdate
from server.aggregation.federated_averaging import moved, norm, weight_of

UPDATE = SiteUpdate(
    n_cases=7,
    lesion_volume_ml=12.5,
    loss=0.5,
    segmentation_loss=0.5,
    site_loss=None,
    head_spread=None,
    estimated_lesion_f1=None,
    true_lesion_f1=None,
    validation_dice=None,
    n_validation_cases=0,
    wall_s=1.0,
    change={},
)


@pytest.mark.parametrize(
    ("weighting", "weight"), [("equal", 1.0), ("cases", 7.0), ("lesion-volume", 12.5)]
)
def test_a_site_counts_as_the_recipe_says(
    weighting: Literal["equal", "cases", "lesion-volume"], weight: float
) -> None:
    assert weight_of(UPDATE, weighting) == weight


def test_parameters_move_by_the_mean_change_and_keep_their_dtype() -> None:
    start: Arrays = {"w": np.array([1.0, -2.0], np.float32), "n": np.array(5, np.int64)}
    change: Arrays = {"w": np.array([-0.5, 0.25], np.float32), "n": np.array(-2, np.int64)}
    end = moved(start, change)
    np.testing.assert_array_equal(end["w"], np.array([0.5, -1.75], np.float32))
    assert end["w"].dtype == np.float32
    assert end["n"] == 3
    np.testing.assert_array_equal(start["w"], [1.0, -2.0])


def test_a_change_of_other_parameters_is_refused() -> None:
    with pytest.raises(UpdateRejected, match="does not name the parameters"):
        moved({"w": np.zeros(1)}, {"v": np.zeros(1)})


def test_the_length_of_a_change_is_over_all_its_arrays() -> None:
    # sqrt(2**2 + 3**2 + 6**2) = 7
    assert norm({"a": np.array([2.0, -3.0]), "b": np.array([[6.0]], np.float32)}) == 7.0
