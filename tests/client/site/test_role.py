from __future__ import annotations

import pytest

from client.site.membership import require_role
from common.errors import PolicyRefused
from common.membership.site import Role
from common.wire.messages import (
    Assignment,
    Request,
    StatisticsRequest,
    ThresholdRequest,
    TrainRequest,
)
from tests.kits import kit_for

ASSIGNMENT = Assignment(
    run="r",
    phase="p",
    round_index=1,
    recipe="{}",
    code_digest="0" * 64,
    site="lyon",
    site_index=0,
    n_sites=2,
    exchange_id="0" * 32,
)
REQUESTS: dict[str, Request] = {
    "statistics": StatisticsRequest(assignment=ASSIGNMENT),
    "train": TrainRequest(assignment=ASSIGNMENT, template={}, parameters={}),
    "evaluate": ThresholdRequest(
        assignment=ASSIGNMENT, template={}, parameters={}, part="all", thresholds=(0.5,)
    ),
}


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("role", ["statistics", "evaluate"])
def test_a_site_does_only_what_its_kit_says(role: Role, request_: str) -> None:
    kit = kit_for(role)
    if request_ == role:
        require_role(REQUESTS[request_], kit)
        return
    with pytest.raises(PolicyRefused, match=f"for the role '{role}', and a") as refused:
        require_role(REQUESTS[request_], kit)
    assert refused.value.code == "other-role"


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_site_that_trains_answers_everything(request_: str) -> None:
    require_role(REQUESTS[request_], kit_for("train"))
