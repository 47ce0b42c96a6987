from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from common.errors import RunFolderError
from server.events.failure_advice import advice
from server.run.run_folder import RunFolder
from server.status.run_status import RunStatus, run_status
from tests.server.status.made_run import (
    at,
    checkpoint,
    failed,
    made_run,
    reply,
    round_finished,
    round_started,
    started,
)

Line = tuple[float, str, dict[str, Any]]

THREE_ROUNDS: list[Line] = [
    started(),
    round_started(10, 1, "a", "b"),
    reply(20, 1, "a", 1000),
    failed(25, 1, "b", "no-lesions"),
    round_finished(30, 1),
    checkpoint(32, 1),
    checkpoint(50, 1),  # after the held-out sites were scored: 50 - 10 = 40 s
    round_started(50, 2, "a", "b"),
    reply(60, 2, "a", 2000),
    failed(70, 2, "b", "no-lesions"),
    round_finished(70, 2),
    checkpoint(110, 2),  # 110 - 50 = 60 s
    round_started(110, 3, "a", "b"),
    reply(130, 3, "a", 4000),
]
"""Rounds of 40 s and 60 s, and a third under way that waits for b."""


def status_at(run: RunFolder, seconds: float) -> RunStatus:
    """How the run stands while a process executes it."""
    with run.locked():
        return run_status(run, now=at(seconds))


def test_a_run_under_way_says_which_round_whom_it_waits_for_and_how_long_yet(
    tmp_path: Path,
) -> None:
    status = status_at(made_run(tmp_path, *THREE_ROUNDS), 140)
    assert status.status == "running"
    assert (status.phase, status.round, status.n_rounds) == ("training", 3, 5)
    assert status.since == at(110)
    assert (status.n_asked, status.n_answered) == (2, 1)
    assert status.waits_for == ("b",)
    assert status.waits_until == at(110 + 600)
    assert status.median_round_s == 50  # of 40 and 60
    assert status.eta_s == 150  # three of five rounds left, the third counted whole
    assert status.received_bytes == 7000
    assert status.checkpoint is not None
    assert (status.checkpoint.round, status.checkpoint.time) == (2, at(110))


def test_each_site_has_its_last_answer_its_bytes_and_its_failures_in_a_row(tmp_path: Path) -> None:
    a, b, c = status_at(made_run(tmp_path, *THREE_ROUNDS), 140).sites
    assert (a.name, a.state, a.last_reply_round, a.received_bytes) == ("a", "online", 3, 7000)
    assert (a.consecutive_failures, a.last_failure) == (0, None)
    assert (b.state, b.last_reply_round, b.consecutive_failures) == ("training", None, 2)
    assert b.last_failure is not None
    assert (b.last_failure.round, b.last_failure.code) == (2, "no-lesions")
    assert b.last_failure.advice == advice("no-lesions")
    assert (c.state, c.received_bytes) == ("never-seen", 0)


def test_an_answer_ends_the_failures_in_a_row_and_the_last_one_is_still_reported(
    tmp_path: Path,
) -> None:
    status = status_at(made_run(tmp_path, *THREE_ROUNDS, reply(150, 3, "b", 5)), 160)
    b = status.sites[1]
    assert (b.consecutive_failures, b.last_reply_round, b.received_bytes) == (0, 3, 5)
    assert b.last_failure is not None
    assert status.waits_for == ()


def test_the_sites_states_are_those_the_run_tells(tmp_path: Path) -> None:
    told = [
        (1, "site-state", {"site": "b", "state": "excluded", "round": 1, "phase": "training"}),
        failed(2, 1, "b", "absent"),
        (3, "site-state", {"site": "c", "state": "rejoined", "round": 1, "phase": "training"}),
    ]
    status = status_at(made_run(tmp_path, started(), *told), 5)
    assert [site.state for site in status.sites] == ["never-seen", "excluded", "rejoined"]


def test_without_such_events_a_site_is_late_or_dropped_by_its_failures(tmp_path: Path) -> None:
    lines = [
        started(),
        round_started(1, 1, "a", "b"),
        failed(2, 1, "a", "deadline"),
        failed(2, 1, "b", "absent"),
        failed(2, 1, "c", "absent"),
    ]
    status = status_at(made_run(tmp_path, *lines), 5)
    assert [site.state for site in status.sites] == ["late", "dropped", "never-seen"]


def test_a_last_line_half_written_is_passed_over(tmp_path: Path) -> None:
    run = made_run(tmp_path, *THREE_ROUNDS)
    with run.events_file.open("a", encoding="utf-8") as file:
        file.write('{"time": "2026-03-02T08:02:20+00:00", "event": "run-fini')
    assert status_at(run, 140).status == "running"


def test_a_damaged_line_before_the_last_is_named(tmp_path: Path) -> None:
    run = made_run(tmp_path, started())
    with run.events_file.open("a", encoding="utf-8") as file:
        file.write('{"event": "reply"}\n')
    with pytest.raises(
        RunFolderError, match=r"events\.jsonl, line 2: reply\.time: .*a valid datetime.*out\."
    ):
        status_at(run, 1)


def test_nobody_who_conducts_and_no_end_is_interrupted(tmp_path: Path) -> None:
    run = made_run(tmp_path / "r1", *THREE_ROUNDS)
    status = run_status(run, now=at(140))
    assert status.status == "interrupted"
    assert status.to_do == "`lesionfed resume r1` continues from the last checkpoint."
    assert status.eta_s is None
    assert status.waits_for == ()


def test_a_free_lock_is_as_good_as_none(tmp_path: Path) -> None:
    run = made_run(tmp_path, started())
    with run.locked():
        assert run.is_executing()
    assert (run.path / "lock").exists()
    assert not run.is_executing()
    assert run_status(run, now=at(1)).status == "interrupted"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(130 + 719, "running", id="within deadline and slack"),
        pytest.param(130 + 721, "stalled", id="beyond 600 + 120 s after the last event"),
    ],
)
def test_a_run_without_events_for_longer_than_a_round_is_stalled(
    tmp_path: Path, seconds: float, expected: str
) -> None:
    assert status_at(made_run(tmp_path, *THREE_ROUNDS), seconds).status == expected


def test_a_run_that_waits_says_for_whom_and_until_when(tmp_path: Path) -> None:
    facts = {"for": ["b", "c"], "until": at(90).isoformat(), "have": 1, "need": 2}
    waits: list[Line] = [started(), (2, "waiting", facts)]
    status = status_at(made_run(tmp_path / "1", *waits), 10)
    assert (status.status, status.waits_for, status.waits_until) == ("waiting", ("b", "c"), at(90))
    status = status_at(made_run(tmp_path / "2", *waits, round_started(5, 1, "a")), 10)
    assert (status.status, status.waits_for) == ("running", ("a",))


@pytest.mark.parametrize("end", ["completed", "stopped", "failed"])
def test_an_end_is_reported_with_its_reason(tmp_path: Path, end: str) -> None:
    reason = None if end == "completed" else "too few"
    line: Line = (200, "run-finished", {"status": end, "reason": reason})
    status = run_status(made_run(tmp_path, *THREE_ROUNDS, line), now=at(9999))
    assert (status.status, status.reason) == (end, reason)
    assert (status.to_do is None) == (end == "completed")


def test_a_resumed_run_continues_and_the_round_that_was_cut_off_begins_again(
    tmp_path: Path,
) -> None:
    """The third round lay still from 130 to 5000; it does not count as a round of 4900 s."""
    lines = [
        *THREE_ROUNDS,
        (140, "run-finished", {"status": "stopped", "reason": "by hand"}),
        (5000, "run-resumed", {}),
        round_started(5010, 3, "a", "b"),
        reply(5020, 3, "a"),
        round_finished(5030, 3),
        checkpoint(5060, 3),  # 50 s
    ]
    status = status_at(made_run(tmp_path, *lines), 5070)
    assert (status.status, status.n_resumed, status.reason) == ("running", 1, None)
    assert status.since == at(5010)
    assert status.median_round_s == 50  # of 40, 50 and 60
    assert status.eta_s == 100


def test_a_phase_of_one_round_is_no_training(tmp_path: Path) -> None:
    lines = [
        started(),
        round_started(1, 1, "a", phase="statistics"),
        round_finished(9, 1, phase="statistics"),
        checkpoint(9, 1, phase="statistics"),
    ]
    status = status_at(made_run(tmp_path, *lines), 10)
    assert (status.round, status.n_rounds, status.n_trained, status.eta_s) == (1, 1, 0, None)


def test_a_damaged_checkpoint_and_an_undelivered_notice_are_reported(tmp_path: Path) -> None:
    damaged: Line = (3, "checkpoint-damaged", {"file": "000002.safetensors"})
    run = made_run(tmp_path, started(), damaged)
    (run.path / "notices.jsonl").write_text('{"error": "no"}\n{"error": null}\n{"er', "utf-8")
    status = status_at(run, 5)
    assert status.damaged_checkpoints == ("000002.safetensors",)
    assert status.n_undelivered == 1


def test_a_run_that_has_not_begun_and_a_folder_that_is_none(tmp_path: Path) -> None:
    assert run_status(made_run(tmp_path / "r"), now=at(0)).status == "not-started"
    with pytest.raises(RunFolderError, match="is not a run folder"):
        run_status(RunFolder(tmp_path / "nothing"), now=at(0))


def test_a_line_that_cannot_be_read_is_said_and_the_run_is_shown_all_the_same(
    tmp_path: Path,
) -> None:
    run = made_run(tmp_path, *THREE_ROUNDS)
    lines = run.events_file.read_text("utf-8").splitlines(keepends=True)
    lines[2] = lines[2][:30] + "\n"  # the first answer of a
    run.events_file.write_text("".join(lines), encoding="utf-8")
    status = status_at(run, 140)
    assert (status.status, status.n_trained, status.received_bytes) == ("running", 2, 6000)
    assert status.warning is not None
    assert "line 3 cannot be read" in status.warning


def test_a_folder_that_was_copied_is_advised_about_by_its_own_name(tmp_path: Path) -> None:
    """Its events still name the run that it is a copy of: to resume that one would be another."""
    run = made_run(tmp_path / "r1", started(), (5, "run-finished", {"status": "stopped"}))
    shutil.copytree(run.path, tmp_path / "again")
    status = run_status(RunFolder(tmp_path / "again"), now=at(10))
    assert status.run == "again"
    assert status.to_do is not None
    assert "lesionfed resume again" in status.to_do
