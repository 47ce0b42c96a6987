from __future__ import annotations

import json

import pytest

from server.events.event_log import parse_event
from server.events.event_text import event_text

TIME = "2026-01-01T00:00:00.000+00:00"


def told(**event: object) -> str:
    return event_text(parse_event(json.dumps({"time": TIME, **event})))[21:]


def test_a_failure_is_reported_with_what_to_do() -> None:
    line = told(
        event="site-failed", phase="training", round=2, site="lyon", error="Oops", code="disk"
    )
    assert line.startswith("training, round 2: lyon failed: Oops (disk). The site's disk is full")


def test_one_reply_is_not_reported_as_many() -> None:
    line = told(event="round-finished", phase="training", round=1, n_replies=1, wall_s=2.0)
    assert line == "training, round 1: closed with 1 reply"


def test_a_late_answer_is_reported_with_what_became_of_it() -> None:
    late = {"event": "late-reply", "phase": "training", "round": 2, "site": "lyon", "late_s": 41.4}
    assert told(**late, counts_in=None) == (
        "training, round 2: lyon answered 41 s late; it does not count"
    )
    assert told(**late, counts_in=3).endswith("; it counts in round 3")


def test_an_event_of_an_unknown_kind_is_reported_by_its_facts() -> None:
    assert told(event="moon", phase="full", n=2) == "moon: phase full, n 2"


def test_the_site_probe_is_reported_beside_chance_or_with_why_it_was_not_measured() -> None:
    figures = {"accuracy": 0.75, "low": 0.5, "high": 1, "chance": 0.25, "n_subjects": 8}
    assert told(event="site-probed", **figures, recalls={"lyon": 0.75}) == (
        "site probe: 0.750 of patches named right (0.500 to 1.000); by chance 0.250"
    )
    line = told(event="site-not-probed", reason="no shares came from lyon")
    assert line == "site probe: not measured: no shares came from lyon"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {"limit": "cases", "found": 1e7, "allowed": 6},
            "lyon says it trained on 1e+07 cases and counts as 6, as many as were declared before",
        ),
        (
            {"limit": "lesion-volume", "found": 1e9, "allowed": 12.5},
            "lyon says it trained on 1e+09 mL of lesion and counts as 12.5 mL",
        ),
        (
            {"limit": "share", "found": 0.75, "allowed": 0.5},
            "lyon would be 75 % of the mean and is 50 % (federation.largest_share)",
        ),
        (
            {"limit": "length", "kind": "running means", "found": 1e17, "allowed": 2.5},
            "lyon sent an update (running means) of length 1e+17, which is shortened to 2.5",
        ),
    ],
)
def test_an_update_over_a_bound_is_reported_with_what_counts(
    facts: dict[str, object], words: str
) -> None:
    line = told(event="site-limited", phase="training", round=2, site="lyon", **facts)
    assert line.startswith(f"training, round 2: {words}")
