from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from common.errors import FlowerError
from common.recipe.recipe import load_recipe
from server.events.event_log import EventLog
from server.events.run_event import RunEvent
from server.events.schema import RunFinished
from server.federation.federation_folder import FederationFolder
from server.flower import watch as watch_module
from server.flower.submission import lay_out_run
from server.flower.watch import EventTail, watch
from server.run.run_folder import RunFolder
from tests.server.events.made_events import run_started
from tests.server.federation.made_federation import made_federation


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("POLL_S", 0.02), ("GONE_S", 0.2), ("ASK_FLOWER_S", 0.05)):
        monkeypatch.setattr(watch_module, name, value)


def new_run(tmp_path: Path) -> tuple[FederationFolder, RunFolder]:
    folder = made_federation(tmp_path / "f")
    return folder, lay_out_run(folder, recipe=load_recipe("default"), name="one")


def test_an_event_is_given_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    tail = EventTail(file)
    assert list(tail.new()) == []
    now = '"time": "2026-03-02T08:00:00+00:00"}\n'
    file.write_text('{"event": "a", ' + now + '{"event": ')
    assert [event.event for event in tail.new()] == ["a"]
    with file.open("a") as more:
        more.write('"b", ' + now)
    assert [event.event for event in tail.new()] == ["b"]
    assert list(tail.new()) == []


def test_a_damaged_line_with_a_carriage_return_does_not_end_the_reading(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    event = b'{"event": "a", "time": "2026-03-02T08:00:00+00:00"}\n'
    file.write_bytes(event + b"\x00\r\x00\n" + event)
    assert len(list(EventTail(file).new())) == 2


def test_a_run_is_followed_to_its_end_and_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "flower_status", lambda folder, run_id: "running")
    folder, run = new_run(tmp_path)
    released: list[float] = []

    def executes() -> None:
        with run.locked():
            events = EventLog(run.events_file)
            events.record(run_started("one"))
            time.sleep(0.1)
            events.record(RunFinished(status="completed", reason=None))
            time.sleep(0.2)  # the report
            released.append(time.monotonic())

    executing = threading.Thread(target=executes)
    executing.start()
    seen: list[RunEvent] = []
    end = watch(folder, run, flower_run_id="1", skip=0, listener=seen.append)
    assert released  # the report is there
    executing.join()
    assert end.status == "completed"
    assert [event.event for event in seen] == ["run-started", "run-finished"]


def test_a_run_that_begins_in_the_midst_of_a_late_check_has_not_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = new_run(tmp_path)
    monkeypatch.setattr(watch_module, "flower_status", lambda folder, run_id: "running")
    lock, begins_s, n_held = ExitStack(), time.monotonic() + 2 * watch_module.GONE_S, 0
    is_executing = RunFolder.is_executing

    def looked_at(run: RunFolder) -> bool:
        """Whether the lock is held; the run begins once the answer is no, and late."""
        nonlocal n_held
        held = is_executing(run)
        n_held += int(held)
        if n_held == 0 and time.monotonic() > begins_s:
            lock.enter_context(run.locked())
            EventLog(run.events_file).record(run_started("one"))
        elif held and n_held == 3:
            EventLog(run.events_file).record(RunFinished(status="completed"))
            lock.close()
        return held

    monkeypatch.setattr(RunFolder, "is_executing", looked_at)
    seen: list[RunEvent] = []
    end = watch(folder, run, flower_run_id="1", skip=0, listener=seen.append)
    assert (end.status, len(seen)) == ("completed", 2)


def test_a_process_that_dies_is_missed_and_how_to_resume_is_shown(tmp_path: Path) -> None:
    folder, run = new_run(tmp_path)
    EventLog(run.events_file).record(run_started("one"))  # and no lock is held: it has died
    with pytest.raises(FlowerError, match=r"died without a word.*`lesionfed resume one --fed"):
        watch(folder, run, flower_run_id="1", skip=0, listener=lambda event: None)


def test_a_run_that_flower_ended_before_it_began_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "flower_status", lambda folder, run_id: "finished:failed")
    folder, run = new_run(tmp_path)
    with pytest.raises(FlowerError, match=r"ended before it began \(finished:failed\)"):
        watch(folder, run, flower_run_id="1", skip=0, listener=lambda event: None)


def test_events_of_earlier_submissions_do_not_end_a_resumed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, run = new_run(tmp_path)
    EventLog(run.events_file).record(RunFinished(status="stopped", reason="x"))
    skip = run.events_file.stat().st_size
    monkeypatch.setattr(watch_module, "flower_status", lambda folder, run_id: "running")
    monkeypatch.setattr(watch_module, "BEGIN_S", 0.2)
    with pytest.raises(FlowerError, match=r"has not begun within \d+ s; Flower calls it running"):
        watch(folder, run, flower_run_id="1", skip=skip, listener=lambda event: None)
