from __future__ import annotations

import json
from typing import Any

import pytest

from server.events.event_log import parse_event
from server.events.failure_advice import advice
from server.events.run_event import RunEvent
from server.notify.notice import Notice, Notices

TIME = "2026-03-02T08:00:00.000+00:00"
UNTIL = "2026-03-02T08:10:00+00:00"


def event(kind: str, **facts: Any) -> RunEvent:
    return parse_event(json.dumps({"time": TIME, "event": kind, **facts}))


def told(*events: RunEvent) -> list[Notice]:
    notices = Notices(federation="ms", run="r1")
    return [notice for one in events if (notice := notices.of(one)) is not None]


def test_a_site_that_drops_out_is_reported_with_what_it_failed_of() -> None:
    place = {"phase": "training", "round": 3, "site": "b"}
    [notice] = told(
        event("site-failed", **place, error="OSError", code="disk"),
        event("site-state", **place, state="excluded"),
    )
    assert notice == Notice(
        federation="ms",
        run="r1",
        what="site-excluded",
        time=TIME,
        site="b",
        phase="training",
        round=3,
        reason="disk",
        advice=advice("disk"),
    )


def test_a_site_that_answered_since_is_not_reported_with_its_old_failure() -> None:
    place = {"phase": "training", "round": 3, "site": "b"}
    [notice] = told(
        event("site-failed", **place, error="OSError", code="disk"),
        event("reply", **place),
        event("site-state", **place, state="dropped"),
    )
    assert (notice.what, notice.reason, notice.advice) == (
        "site-dropped",
        "absent",
        advice("absent"),
    )


@pytest.mark.parametrize("state", ["never-seen", "online", "training", "late", "rejoined"])
def test_other_states_of_a_site_are_not_reported(state: str) -> None:
    assert told(event("site-state", site="b", state=state, phase="training", round=1)) == []


def test_a_wait_is_reported_again_only_for_another_site_or_after_it_came() -> None:
    def waiting(*sites: str) -> RunEvent:
        return event("waiting", **{"for": list(sites), "until": UNTIL, "have": 1, "need": 2})

    begun = event("round-started", phase="training", round=2, sites=["a", "b"])
    notices = told(waiting("b", "c"), waiting("c"), waiting("a"), begun, waiting("c"), waiting("b"))
    assert [notice.site for notice in notices] == ["b, c", "a", "b"]
    assert notices[0].reason == f"1 sites are online and 2 are needed; waits until {UNTIL}"
    assert (notices[0].round, notices[2].round) == (None, 2)


def test_the_end_is_reported_with_its_reason_inside_and_without_it_outside() -> None:
    reason = "/srv/runs/r1: disk full"
    [notice] = told(event("run-finished", status="failed", reason=reason))
    assert (notice.what, notice.status, notice.reason) == ("run-finished", "failed", reason)
    assert json.loads(notice.as_json())["reason"] == reason
    assert reason in notice.as_text()
    assert "/srv" not in notice.for_outside().as_json()
    assert notice.for_outside().status == "failed"


def test_a_run_that_completed_asks_for_nothing() -> None:
    [notice] = told(event("run-finished", status="completed", reason=None))
    assert notice.advice is None
    assert list(json.loads(notice.as_json())) == [
        "federation",
        "run",
        "what",
        "time",
        "site",
        "phase",
        "round",
        "status",
        "reason",
        "advice",
    ]
