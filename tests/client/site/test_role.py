from __future__ import annotations

from pathlib import Path

import pytest

from client.site.membership import require_role
from client.site.site_folder import SiteFolder
from common.errors import PolicyRefused
from common.membership.kit import Kit
from common.membership.site import Role
from common.wire.messages import (
    Assignment,
    Request,
    StatisticsRequest,
    ThresholdRequest,
    TrainRequest,
)

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


def folder_with(path: Path, role: Role) -> SiteFolder:
    folder = SiteFolder(path)
    folder.kit_file.parent.mkdir()
    kit = Kit(
        federation="ms",
        site="lyon",
        role=role,
        public_key="ecdsa-sha2-nistp384 AAAA",
        address="fl.example.org",
        port=443,
        authority_fingerprint="SHA256:" + "A" * 43,
        lesionfed_version="0.1.0",
        code_digest="0" * 64,
        issued="2026-01-01T00:00:00+00:00",
    )
    folder.kit_file.write_text(kit.canonical_json(), "utf-8")
    return folder


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("role", ["statistics", "evaluate"])
def test_a_site_does_only_what_its_kit_says(tmp_path: Path, role: Role, request_: str) -> None:
    folder = folder_with(tmp_path, role)
    if request_ == role:
        require_role(REQUESTS[request_], folder)
        return
    with pytest.raises(PolicyRefused, match=f"for the role '{role}', and a") as refused:
        require_role(REQUESTS[request_], folder)
    assert refused.value.code == "other-role"


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_site_that_trains_answers_everything(tmp_path: Path, request_: str) -> None:
    require_role(REQUESTS[request_], folder_with(tmp_path, "train"))
    require_role(REQUESTS[request_], SiteFolder(tmp_path / "no kit"))
