from __future__ import annotations

from pathlib import Path

import pytest

from server.cli.run_result import run_result, show_result
from server.events.event_log import EventLog
from server.events.schema import LesionMetricTrained, RunFinished
from server.run.run_folder import RunFolder
from tests.server.events.made_events import run_started


@pytest.mark.parametrize(("accepted", "n_warnings"), [(True, 0), (False, 1)])
def test_a_run_ends_with_a_warning_where_its_lesion_metric_misses_its_aims(
    accepted: bool, n_warnings: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path)
    log = EventLog(folder.events_file)
    log.record(run_started("run"))
    log.record(LesionMetricTrained(n_pairs=9, mae=0.25, bias=0, accepted=accepted))
    log.record(RunFinished(status="completed"))
    assert len(run_result(folder)["warnings"]) == n_warnings
    show_result(folder)
    told = capsys.readouterr().out
    assert told.count("warning: the lesion metric misses its aims on 9 pairs") == n_warnings
