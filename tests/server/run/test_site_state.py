from __future__ import annotations

from typing import get_args

import pytest

from server.run.site_state import TRANSITIONS, Happening, SiteRecord, SiteState, after


@pytest.mark.parametrize(
    ("happenings", "state"),
    [
        pytest.param(["gone"], "never-seen", id="planned, not enrolled yet"),
        pytest.param(["seen"], "online", id="it comes"),
        pytest.param(["seen", "asked"], "training", id="it works"),
        pytest.param(["seen", "asked", "answered"], "online", id="it has answered"),
        pytest.param(["seen", "asked", "failed"], "online", id="it could not, and is there"),
        pytest.param(["seen", "asked", "overdue"], "late", id="the deadline passed"),
        pytest.param(["seen", "asked", "overdue", "seen"], "late", id="late and still computing"),
        pytest.param(["seen", "asked", "overdue", "answered"], "rejoined", id="its late answer"),
        pytest.param(["seen", "asked", "gone"], "dropped", id="killed while computing"),
        pytest.param(["seen", "asked", "gone", "seen"], "rejoined", id="started again"),
        pytest.param(["seen", "gone", "seen", "asked"], "training", id="back and asked again"),
        pytest.param(["seen", "shut-out", "seen", "asked"], "excluded", id="nothing moves it"),
        pytest.param(["seen", "shut-out", "let-in"], "online", id="but its time"),
    ],
)
def test_a_site_is_where_its_story_put_it(happenings: list[Happening], state: SiteState) -> None:
    reached: SiteState = "never-seen"
    for happening in happenings:
        reached = after(reached, happening)
    assert reached == state


def test_every_state_has_its_row_and_can_be_reached() -> None:
    states = set(get_args(SiteState))
    assert set(TRANSITIONS) == states
    reached = {next_ for row in TRANSITIONS.values() for next_ in row.values()}
    assert reached == states - {"never-seen"}  # nobody becomes unseen


def judged(record: SiteRecord, outcomes: str) -> SiteRecord:
    """`u` a useful answer, `-` a failed round, `.` a round without the site."""
    for outcome in outcomes:
        if outcome == ".":
            record = record.after_round_excluded()
        else:
            record = record.after_round(useful=outcome == "u", exclude_after=3, exclude_rounds=2)
    return record


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        pytest.param("--", "online", id="two failures are not three"),
        pytest.param("--u--", "online", id="in a row"),
        pytest.param("---", "excluded", id="three in a row"),
        pytest.param("---.", "excluded", id="one of two rounds out"),
        pytest.param("---..", "online", id="let in after two"),
        pytest.param("---..-", "excluded", id="the next failure is enough"),
        pytest.param("---..u--", "online", id="a useful answer sets the count back"),
    ],
)
def test_a_site_is_excluded_after_three_failures_in_a_row_for_two_rounds(
    outcomes: str, state: SiteState
) -> None:
    assert judged(SiteRecord(state="online"), outcomes).state == state
