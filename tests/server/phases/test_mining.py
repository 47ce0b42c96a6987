from __future__ import annotations

import numpy as np
import pytest

from common.wire.messages import Assignment, MiningReply, MiningRequest
from server.phases.mining import MiningPhase
from server.run.run_state import RunState

ASSIGNMENT = Assignment(
    run="r",
    phase="mining",
    round_index=1,
    recipe="{}",
    code_digest="c",
    site="lyon",
    site_index=0,
    n_sites=1,
    exchange_id="0" * 32,
)


def test_the_network_goes_out_counts_come_back_and_the_state_stays() -> None:
    weight = np.array([-1.5, 2.0], np.float32)
    state = RunState(
        phase="mining",
        template={"FLAIR": (0.5, 1.0, 1.5)},
        parameters={"network.first.w": weight, "head.w": weight},
    )
    round_ = MiningPhase().round(state)
    exchange = next(round_)
    assert exchange.roles == ("train",)
    assert exchange.quorum == 0  # who does not answer searches when it trains
    request = exchange.request(ASSIGNMENT)
    assert isinstance(request, MiningRequest)
    assert request.template == state.template
    np.testing.assert_equal(request.parameters, {"network.first.w": weight})
    facts = exchange.accumulate("lyon", MiningReply(n_cases=3, n_negatives=1234))
    assert facts == {"n_cases": 3, "n_negatives": 1234}
    with pytest.raises(StopIteration) as ended:
        next(round_)
    assert ended.value.value is state


def test_it_is_one_round_that_nobody_judges() -> None:
    phase = MiningPhase()
    assert (phase.name, phase.n_rounds) == ("mining", 1)
    assert not phase.is_evaluated(0)
    assert not phase.is_evaluated(1)
    assert phase.begin(RunState(round_index=7)) == RunState(round_index=7)
