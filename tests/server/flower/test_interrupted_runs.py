from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.recipe.recipe import load_recipe
from server.events.event_log import EventLog
from server.events.schema import RunEnd, RunFinished, RunResumed
from server.federation.federation_folder import FederationFolder
from server.flower import interrupted_runs, run_control
from server.flower.interrupted_runs import InterruptedRuns
from server.flower.run_control import resume, stop
from server.flower.submission import lay_out_run
from server.flower.watch import BEGIN_S
from server.run.run_folder import RunFolder
from server.status.run_status import run_status
from tests.server.events.made_events import run_started
from tests.server.federation.made_federation import made_federation
from tests.server.notify.receivers import program
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks at every call, with a grace that has passed at the second; Flower takes everything."""
    monkeypatch.setattr(interrupted_runs, "CHECK_S", 0.0)
    monkeypatch.setattr(interrupted_runs, "GRACE_S", 1e-9)
    monkeypatch.setattr(run_control, "submit", lambda folder, run: "77")
    monkeypatch.setattr(run_control, "flwr", lambda folder, *arguments: None)
    monkeypatch.setattr(run_control, "flower_status", lambda folder, run_id: "running")


def looked_at(folder: FederationFolder, times: int = 3) -> InterruptedRuns:
    looks = InterruptedRuns(folder)
    for _ in range(times):
        looks.check()
    return looks


def new_run(tmp_path: Path, **settings: object) -> tuple[FederationFolder, RunFolder]:
    folder = made_federation(tmp_path / "f", **settings)
    return folder, lay_out_run(folder, recipe=load_recipe("default"), name="one")


def begun(run: RunFolder, *, engine: str = "deployment") -> EventLog:
    events = EventLog(run.events_file)
    events.record(run_started(run.path.name, engine=engine))
    return events


def ends(run: RunFolder) -> list[tuple[str, str | None]]:
    """Status and reason of each end that is recorded."""
    lines = run.events_file.read_text("utf-8").splitlines() if run.events_file.exists() else []
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [(e["status"], e["reason"]) for e in events if e["event"] == "run-finished"]


def test_a_run_whose_process_died_ends_as_failed_and_its_people_are_notified(
    tmp_path: Path,
) -> None:
    out = tmp_path / "told"
    folder, run = new_run(tmp_path, notify={"command": list(program(out))})
    begun(run)
    looked_at(folder)
    [(status, reason)] = ends(run)
    assert status == "failed"
    assert reason == (
        "the process that executed the run has died without a word. `lesionfed resume one "
        f"--federation {folder.path}` continues from the last checkpoint"
    )
    wait_until(lambda: out.exists() and out.read_text("utf-8").endswith("\n"), "the notice")
    told = json.loads(out.read_text("utf-8"))
    assert (told["federation"], told["run"], told["what"]) == ("toys", "one", "run-finished")
    assert (told["status"], told["reason"]) == ("failed", reason)


def test_an_end_is_recorded_once_however_often_the_server_starts(tmp_path: Path) -> None:
    folder, run = new_run(tmp_path)
    begun(run)
    looked_at(folder, times=5)
    looked_at(folder, times=5)
    assert [status for status, _ in ends(run)] == ["failed"]


@pytest.mark.parametrize("status", ["completed", "stopped", "failed"])
def test_a_run_that_ended_long_ago_is_left_as_it_is(tmp_path: Path, status: RunEnd) -> None:
    folder, run = new_run(tmp_path)
    begun(run).record(RunFinished(status=status, reason="as it was"))
    looked_at(folder)
    assert ends(run) == [(status, "as it was")]


def test_a_run_is_given_its_grace_before_it_counts_as_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(interrupted_runs, "GRACE_S", 30.0)
    monkeypatch.setattr("server.flower.interrupted_runs.time.monotonic", lambda: now[0])
    folder, run = new_run(tmp_path)
    begun(run)
    looks = InterruptedRuns(folder)
    seen = []
    for at in (1000.0, 1029.9, 1030.0):  # it is seen first at 1000
        now[0] = at
        looks.check()
        seen.append(len(ends(run)))
    assert seen == [0, 0, 1]


def test_a_run_that_is_conducted_has_not_begun_or_is_a_simulation_is_left_alone(
    tmp_path: Path,
) -> None:
    folder, run = new_run(tmp_path)
    new = lay_out_run(folder, recipe=load_recipe("default"), name="new")
    simulated = lay_out_run(folder, recipe=load_recipe("default"), name="simulated")
    begun(run)
    begun(simulated, engine="inline")
    with run.locked():
        looked_at(folder)
    assert (ends(run), ends(new), ends(simulated)) == ([], [], [])


def test_who_begins_to_execute_after_the_check_wins_by_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = new_run(tmp_path)
    begun(run)
    monkeypatch.setattr(RunFolder, "is_executing", lambda run: False)
    with run.locked():  # taken between the look and the record
        looked_at(folder)
    assert ends(run) == []


def test_what_was_recorded_since_the_check_keeps_the_run_from_being_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = new_run(tmp_path)
    events = begun(run)

    def and_then_it_ends(run: RunFolder, *, now: datetime) -> Any:
        status = run_status(run, now=now)
        events.record(RunFinished(status="completed", reason=None))
        return status

    monkeypatch.setattr(interrupted_runs, "GRACE_S", 0.0)
    monkeypatch.setattr(interrupted_runs, "run_status", and_then_it_ends)
    looked_at(folder, times=1)
    assert ends(run) == [("completed", None)]


def test_a_run_that_is_being_resumed_has_its_time_to_begin_and_no_more(tmp_path: Path) -> None:
    folder, run = new_run(tmp_path)
    begun(run)
    time.sleep(0.01)  # an event's time is in whole milliseconds
    resume(folder, run)
    looks = looked_at(folder)
    assert ends(run) == []
    handed = time.time() - BEGIN_S
    at = datetime.fromtimestamp(handed - 60, UTC).isoformat(timespec="milliseconds")
    told = json.loads(run.events_file.read_text("utf-8"))
    run.events_file.write_text(json.dumps(told | {"time": at}) + "\n", "utf-8")
    os.utime(run.submissions_file, (handed, handed))
    looks.check()
    assert [status for status, _ in ends(run)] == ["failed"]


def test_a_run_that_was_asked_to_stop_and_died_ends_as_stopped(tmp_path: Path) -> None:
    folder, run = new_run(tmp_path)
    begun(run)
    run.stop_file.touch()
    looked_at(folder)
    assert ends(run) == [("stopped", "stopped by the coordinator; its process had died")]


def test_a_stop_and_a_check_at_once_leave_one_end_which_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = new_run(tmp_path)
    begun(run)
    run.submissions_file.write_text(json.dumps({"time": "t", "flower_run_id": "5"}) + "\n")
    os.utime(run.submissions_file, (1000, 1000))
    monkeypatch.setattr(run_control, "flwr", lambda *arguments: looked_at(folder))
    assert stop(folder, run, say=lambda text: None).status == "stopped"
    assert [status for status, _ in ends(run)] == ["stopped"]


def test_a_run_that_was_ended_so_can_be_resumed(tmp_path: Path) -> None:
    folder, run = new_run(tmp_path)
    begun(run)
    looked_at(folder)
    n_bytes = run.events_file.stat().st_size
    resumed = resume(folder, run)
    assert (resumed.flower_run_id, resumed.skip) == ("77", n_bytes)
    with run.locked():
        EventLog(run.events_file).record(RunResumed())
        assert run_status(run, now=datetime.now(UTC)).status == "running"


def test_a_run_that_cannot_be_read_is_logged_once_and_keeps_no_other_from_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, run = new_run(tmp_path)
    begun(run)
    bad = lay_out_run(folder, recipe=load_recipe("default"), name="bad")
    bad.events_file.write_text('{"event": "reply"}\n', encoding="utf-8")
    looked_at(folder, times=5)
    assert [status for status, _ in ends(run)] == ["failed"]
    assert len([text for text in caplog.messages if "checking run bad failed" in text]) == 1
