from __future__ import annotations

import numpy as np
import pytest

from common.errors import UpdateRejected
from common.recipe.server_optimizer import AdamServer, MomentumServer, PlainServer
from common.wire.field_types import Arrays
from server.aggregation.server_optimizer import server_step


def arrays(**values: float) -> Arrays:
    return {name: np.array([value], np.float32) for name, value in values.items()}


def test_without_one_the_mean_change_is_added_as_it_is() -> None:
    change = arrays(w=-0.3)
    assert server_step(change, {}, PlainServer()) == (change, {})


def test_momentum_adds_what_is_left_of_earlier_changes() -> None:
    """v: 2, then 0.5 * 2 - 3 = -2, then 0.5 * -2 + 1 = 0; each times the learning rate."""
    settings = MomentumServer(name="momentum", beta=0.5, learning_rate=0.1)
    state: Arrays = {}
    steps = []
    for change in (2.0, -3.0, 1.0):
        added, state = server_step(arrays(w=change), state, settings)
        steps.append(float(added["w"][0]))
    assert steps == pytest.approx([0.2, -0.2, 0.0])


def test_adam_divides_by_the_root_of_the_mean_square_without_correcting_its_start() -> None:
    """tau 0.1, so v begins at 0.01.

    Change 2: m = 0.5 * 2 = 1, v = 0.75 * 0.01 + 0.25 * 4 = 1.0075.
    Change -2: m = 0.5 - 1 = -0.5, v = 0.75 * 1.0075 + 1 = 1.755625, whose root is 1.325.
    """
    settings = AdamServer(name="adam", learning_rate=0.5, beta_1=0.5, beta_2=0.75, tau=0.1)
    first, state = server_step(arrays(w=2.0), {}, settings)
    second, _ = server_step(arrays(w=-2.0), state, settings)
    assert float(first["w"][0]) == pytest.approx(0.5 * 1 / (1.0075**0.5 + 0.1))
    assert float(second["w"][0]) == pytest.approx(0.5 * -0.5 / (1.325 + 0.1))


def test_a_parameter_that_no_site_changes_stays() -> None:
    added, _ = server_step(arrays(w=0.0), {}, AdamServer(name="adam"))
    assert float(added["w"][0]) == 0


@pytest.mark.parametrize("settings", [MomentumServer(name="momentum"), AdamServer(name="adam")])
def test_running_statistics_counts_and_plain_names_are_not_run_through_it(
    settings: MomentumServer | AdamServer,
) -> None:
    change: Arrays = {
        "network.n.running_mean": np.array([0.5], np.float32),
        "network.n.running_var": np.array([-0.5], np.float32),
        "network.n.num_batches_tracked": np.array(3, np.int64),
        "network.n.weight": np.array([0.25], np.float32),
    }
    added, state = server_step(change, {}, settings, plain={"network.n.weight"}.__contains__)
    assert added == change
    assert state == {}


def test_squares_that_cannot_be_remembered_end_the_round() -> None:
    with pytest.raises(
        UpdateRejected, match=r"'adam' would remember .* not finite, of \['second.w'"
    ):
        server_step(arrays(w=3e38), {}, AdamServer(name="adam"))
