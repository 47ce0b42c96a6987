from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import QuorumNotMet
from common.recipe import load_recipe
from common.wire.messages import SiteStatistics, StatisticsRequest
from server.events import EventLog
from server.inline import InlineGrid
from server.rounds.exchange import Correspondence, Exchange
from server.run_folder import Consortium, EnrolledSite


def held(folder: Path, *, quorum: int | None, phase: str | None = None) -> list[tuple[str, str]]:
    """Kind and phase of each event of one exchange with a site that is not there."""
    events_file = folder / "events.jsonl"
    correspondence = Correspondence(
        InlineGrid({}),
        consortium=Consortium(run="r", sites=(EnrolledSite(name="lyon", public_key="k"),)),
        recipe=load_recipe("default", overrides=["federation.wait_for_sites_s=0.01"]),
        events=EventLog(events_file),
    )
    exchange = Exchange(
        request=lambda assignment: StatisticsRequest(assignment=assignment),
        reply=SiteStatistics,
        fold=lambda site, reply: {},
        quorum=quorum,
        phase=phase,
    )
    correspondence.hold(exchange, phase="training", round_index=1)
    events = [json.loads(line) for line in events_file.read_text("utf-8").splitlines()]
    return [(event["event"], event["phase"]) for event in events]


def test_without_a_quorum_of_its_own_an_exchange_needs_the_runs(tmp_path: Path) -> None:
    with pytest.raises(QuorumNotMet):
        held(tmp_path, quorum=None)


@pytest.mark.parametrize(("phase", "told"), [(None, "training"), ("mining", "mining")])
def test_an_exchange_that_needs_no_reply_ends_without_one_under_its_phases_name(
    tmp_path: Path, phase: str | None, told: str
) -> None:
    kinds = ["round-started", "site-failed", "round-finished"]
    assert held(tmp_path, quorum=0, phase=phase) == [(kind, told) for kind in kinds]
