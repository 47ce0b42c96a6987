from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from common.errors import RunFolderError
from common.recipe.recipe import load_recipe
from server.events.event_log import EventLog
from server.events.schema import RunFinished
from server.federation.federation_folder import FederationFolder
from server.flower import run_control
from server.flower.run_control import existing_run, resume, stop
from server.flower.submission import lay_out_run
from server.run.run_folder import RunFolder
from tests.server.events.made_events import run_started
from tests.server.federation.made_federation import made_federation
from tests.waiting import LIMIT_S, wait_until


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What Flower was told; it calls every run running."""
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(run_control, "flwr", lambda folder, *arguments: told.append(arguments))
    monkeypatch.setattr(run_control, "flower_status", lambda folder, run_id: "running")
    monkeypatch.setattr(run_control, "submit", lambda folder, run: "77")
    return told


def new_run(tmp_path: Path, *, submitted: bool = True) -> tuple[FederationFolder, RunFolder]:
    folder = made_federation(tmp_path / "f")
    run = lay_out_run(folder, recipe=load_recipe("default"), name="one")
    if submitted:
        run.submissions_file.write_text(json.dumps({"time": "t", "flower_run_id": "5"}) + "\n")
    return folder, run


def started(run: RunFolder) -> EventLog:
    events = EventLog(run.events_file)
    events.record(run_started("one"))
    return events


def test_a_run_that_nobody_conducts_is_submitted_again_and_its_old_messages_go(
    tmp_path: Path, told: list[tuple[str, ...]]
) -> None:
    folder, run = new_run(tmp_path)
    started(run)
    run.stop_file.touch()
    assert resume(folder, run).flower_run_id == "77"
    assert told == [("stop", "5", "federation")]
    assert not run.stop_file.exists()  # or the run would stop again at once


def test_a_completed_run_is_not_resumed(tmp_path: Path, told: list[tuple[str, ...]]) -> None:
    folder, run = new_run(tmp_path)
    started(run).record(RunFinished(status="completed", reason=None))
    with pytest.raises(RunFolderError, match=r"is completed: its report is"):
        resume(folder, run)
    assert told == []


def test_a_run_of_another_version_is_not_submitted_again(
    tmp_path: Path, told: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = new_run(tmp_path)
    started(run)
    before = run.events_file.read_bytes()
    monkeypatch.setattr("server.events.same_run.code_digest", lambda: "another")
    with pytest.raises(RunFolderError, match=r"own code has changed since this run started"):
        resume(folder, run)
    assert run.events_file.read_bytes() == before
    assert told == []


def test_a_run_that_is_conducted_is_not_resumed(
    tmp_path: Path, told: list[tuple[str, ...]]
) -> None:
    folder, run = new_run(tmp_path)
    with run.locked(), pytest.raises(RunFolderError, match=r"is still running"):
        resume(folder, run)


def test_a_conducted_run_ends_itself_when_it_is_asked_to(
    tmp_path: Path, told: list[tuple[str, ...]]
) -> None:
    folder, run = new_run(tmp_path, submitted=False)
    begun = threading.Event()

    def executes() -> None:
        with run.locked():
            events = started(run)
            begun.set()
            wait_until(run.stop_file.exists, "the request to stop")
            events.record(RunFinished(status="stopped", reason="asked"))

    executing = threading.Thread(target=executes)
    executing.start()
    assert begun.wait(LIMIT_S)
    said: list[str] = []
    status = stop(folder, run, say=said.append)
    executing.join()
    assert (status.status, status.reason) == ("stopped", "asked")
    assert "asked run one to stop" in said[0]
    assert told == []


def test_the_end_of_a_run_that_nobody_conducts_is_recorded_for_it(
    tmp_path: Path, told: list[tuple[str, ...]]
) -> None:
    folder, run = new_run(tmp_path)
    started(run)
    status = stop(folder, run, say=lambda text: None)
    assert status.status == "stopped"
    assert status.reason == "stopped by the coordinator while no process executed it"
    assert told == [("stop", "5", "federation")]
    with pytest.raises(RunFolderError, match=r"has ended already: it is stopped"):
        stop(folder, run, say=lambda text: None)


def test_a_run_that_has_not_begun_is_stopped_and_can_begin_later(
    tmp_path: Path, told: list[tuple[str, ...]]
) -> None:
    folder, run = new_run(tmp_path)
    assert stop(folder, run, say=lambda text: None).status == "stopped"
    assert told == [("stop", "5", "federation")]
    resumed = resume(folder, run)
    assert (resumed.flower_run_id, resumed.skip) == ("77", 0)
    assert not run.events_file.exists()  # it begins, rather than resumes from nothing


def test_a_run_of_a_federation_that_was_moved_finds_where_its_members_are_now(
    tmp_path: Path, told: list[tuple[str, ...]]
) -> None:
    folder, run = new_run(tmp_path)
    started(run)
    before = run.consortium()
    folder.path.rename(tmp_path / "moved")
    moved = FederationFolder(tmp_path / "moved")
    resume(moved, moved.run("one"))
    here = moved.members_file.resolve()
    after = moved.run("one").consortium()
    assert after == before.model_copy(update={"members_file": here})


def test_the_events_of_a_resumed_run_are_read_from_where_the_earlier_ones_end(
    tmp_path: Path, told: list[tuple[str, ...]]
) -> None:
    folder, run = new_run(tmp_path)
    started(run)
    assert resume(folder, run).skip == run.events_file.stat().st_size


def test_a_run_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    folder, _ = new_run(tmp_path)
    with pytest.raises(RunFolderError, match=r"no run 'two' in .*Runs there: one\."):
        existing_run(folder, "two")
