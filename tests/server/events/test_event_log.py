from __future__ import annotations

from pathlib import Path

from server.events.event_log import EventLog, first_event


def test_a_run_whose_start_the_disk_refused_began_with_its_later_start(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert first_event(path) is None
    events = EventLog(path)
    events.record("run-finished", status="failed", reason="no space left")
    assert first_event(path) is None
    events.record("run-started", run="r")
    events.record("run-started", run="another")
    started = first_event(path)
    assert started is not None
    assert started["run"] == "r"
