from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import RunFolderError
from common.learning.lesion_wise.metric_figures import MetricFigures
from common.metrics.threshold_choice import ThresholdChoice
from common.wire.messages import PartFacts, SiteStatistics
from server.events.event_log import EventLog, read_events
from server.events.run_event import RunEvent, UnknownEvent
from server.events.schema import (
    LesionMetricTrained,
    RunFinished,
    SiteDescribed,
    SitePart,
    SiteReplied,
)
from server.events.threshold_events import ThresholdChosen


def test_an_event_is_written_with_its_time_and_kind_first_and_read_back_equal(
    tmp_path: Path,
) -> None:
    heard: list[RunEvent] = []
    log = EventLog(tmp_path / "events.jsonl", heard.append)
    log.record(SiteReplied(phase="training", round=1, site="lyon", facts={"loss": 0.5}))
    log.record(RunFinished(status="completed", reason=None))
    lines = (tmp_path / "events.jsonl").read_text("utf-8").splitlines()
    assert [list(json.loads(line)) for line in lines] == [
        ["time", "event", "phase", "round", "site", "facts"],  # what was not given is not written
        ["time", "event", "status", "reason"],
    ]
    assert list(read_events(tmp_path / "events.jsonl")) == heard


def test_a_number_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    with pytest.raises(ValueError, match="not JSON compliant"):
        log.record(SiteReplied(phase="training", round=1, site="a", facts={"loss": float("nan")}))
    with pytest.raises(ValueError, match="not JSON compliant"):
        log.record(SiteReplied(phase="training", round=1, site="a", wall_s=float("inf")))
    assert list(read_events(tmp_path / "events.jsonl")) == []


@pytest.mark.parametrize(
    ("made_from", "event"),
    [
        (MetricFigures, LesionMetricTrained),
        (ThresholdChoice, ThresholdChosen),
        (PartFacts, SitePart),
        (SiteStatistics, SiteDescribed),
    ],
)
def test_an_event_has_every_field_of_what_it_is_made_from(made_from: Any, event: Any) -> None:
    """A field that an event does not know would be left out without a word."""
    fields = set(made_from.__dataclass_fields__) - {"landmark_sums", "digests"}  # out on purpose
    assert fields <= set(event.model_fields)


def test_an_event_of_another_version_keeps_its_facts(tmp_path: Path) -> None:
    line = {"time": "2026-03-02T08:00:00.000+00:00", "event": "moon", "phase": "full"}
    (tmp_path / "events.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    [event] = read_events(tmp_path / "events.jsonl")
    assert isinstance(event, UnknownEvent)
    assert event.as_dict() == line


NOW = "2026-03-02T08:00:00.000+00:00"


def line(**event: object) -> bytes:
    return json.dumps({"time": NOW, **event}).encode() + b"\n"


@pytest.mark.parametrize(
    "damaged",
    [
        b"[" * 100_000 + b"]" * 100_000 + b"\n",
        line(event="site-failed", phase="training", round=1, site="a", error="\ud800", code="x"),
        line(event="moon", phase=["\ud800"]),
    ],
    ids=["nested too deeply", "half a surrogate pair", "half a pair in an unknown kind"],
)
def test_a_line_that_no_page_could_show_is_a_gap(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "events.jsonl").write_bytes(damaged + line(event="moon"))
    gaps: list[int] = []
    events = read_events(tmp_path / "events.jsonl", on_gap=gaps.append)
    assert [event.event for event in events] == ["moon"]
    assert gaps == [1]


@pytest.mark.parametrize("digits", ["1e999", "-1e999", "Infinity", "NaN", "1" * 400])
def test_a_number_that_no_float_can_hold_is_undefined(tmp_path: Path, digits: str) -> None:
    reply = line(event="reply", phase="training", round=1, site="a", wall_s=0, facts={"loss": 0})
    (tmp_path / "events.jsonl").write_bytes(reply.replace(b": 0", b": " + digits.encode()))
    [event] = read_events(tmp_path / "events.jsonl")
    assert isinstance(event, SiteReplied)
    assert event.wall_s is None
    assert event.fact("loss") is None


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        ({"event": "moon", "time": "9999-12-31T23:59:59-14:00"}, "moon.time"),
        ({"event": "moon", "time": "0001-01-01T00:00:00+14:00"}, "moon.time"),
        (
            {
                "event": "evaluated",
                "site": "east",
                "role": "unseen",
                "method": "network",
                "round": 1,
                "cases": [{"subject": "sub-1"}, {"site": "west", "subject": "sub-2"}],
            },
            "evaluated.cases: Value error, want cases of this site alone",
        ),
    ],
)
def test_an_event_that_no_reader_could_use_is_refused_with_its_line(
    tmp_path: Path, event: dict[str, object], fault: str
) -> None:
    (tmp_path / "events.jsonl").write_bytes(line(event="moon") + line(**event))
    with pytest.raises(RunFolderError, match=r"events\.jsonl, line 2: ") as refused:
        list(read_events(tmp_path / "events.jsonl"))
    assert fault in str(refused.value)
    assert "Restore the file from a backup" in str(refused.value)


def test_whoever_watches_a_run_cannot_end_it(tmp_path: Path) -> None:
    """A terminal that is gone raises where progress is drawn; the run needs no terminal."""
    heard: list[RunEvent] = []

    def fails(event: RunEvent) -> None:
        heard.append(event)
        raise OSError(5, "Input/output error")

    log = EventLog(tmp_path / "events.jsonl", fails)
    for round_index in (1, 2):
        log.record(SiteReplied(phase="training", round=round_index, site="lyon"))
    assert len(list(read_events(tmp_path / "events.jsonl"))) == 2
    assert len(heard) == 1


def test_ctrl_c_while_progress_is_drawn_still_ends_the_run(tmp_path: Path) -> None:
    def interrupted(event: RunEvent) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EventLog(tmp_path / "events.jsonl", interrupted).record(RunFinished(status="failed"))


def test_a_write_that_the_disk_refuses_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    log = EventLog(file)
    file.symlink_to("/dev/full")  # only now: a log that is there is read to its end first
    with pytest.raises(OSError, match=r"No space left on device: '.*/events\.jsonl'"):
        log.record(RunFinished(status="failed"))


def test_a_text_of_an_event_moves_no_cursor_and_begins_no_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = (
        {"event": "something-new", "who": "lyon\x1b[2J", "deep": [{"k\n": "a\nb"}]},
        {"event": "run-finished", "status": "failed", "reason": "one\ntwo\x07"},
    )
    time = {"time": "2026-03-01T12:00:00+00:00"}
    path.write_text("".join(f"{json.dumps({**time, **line})}\n" for line in lines), "utf-8")
    unknown, finished = read_events(path)
    assert unknown.as_dict() | time == {
        **time,
        "event": "something-new",
        "who": "lyon\\x1b[2J",
        "deep": [{"k\\n": "a\\nb"}],
    }
    assert isinstance(finished, RunFinished)
    assert finished.reason == "one\ntwo\\x07"
