from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.learning.lesion_wise.metric_figures import MetricFigures
from common.metrics.threshold_choice import ThresholdChoice
from common.wire.messages import PartFacts, SiteStatistics
from server.events.event_log import EventLog, read_events
from server.events.schema import (
    LesionMetricTrained,
    RunEvent,
    RunFinished,
    SiteDescribed,
    SitePart,
    SiteReplied,
    ThresholdChosen,
    UnknownEvent,
)


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
    fields = set(made_from.__dataclass_fields__) - {"landmark_sums"}  # these stay out on purpose
    assert fields <= set(event.model_fields)


def test_an_event_of_another_version_keeps_its_facts(tmp_path: Path) -> None:
    line = {"time": "2026-03-02T08:00:00.000+00:00", "event": "moon", "phase": "full"}
    (tmp_path / "events.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    [event] = read_events(tmp_path / "events.jsonl")
    assert isinstance(event, UnknownEvent)
    assert event.as_dict() == line
