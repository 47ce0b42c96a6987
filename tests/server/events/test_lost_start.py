"""What is left of a run's events is reported, whichever line is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import RunFolderError
from server.events.history import read_run
from server.events.same_run import require_same_run
from server.report.render import write_report
from server.run.run_folder import RunFolder
from server.status.run_status import run_status
from tests.server.status.made_run import (
    at,
    checkpoint,
    made_run,
    reply,
    round_finished,
    round_started,
    started,
)

LINES = [
    started(),
    round_started(10, 1, "a", "b"),
    reply(20, 1, "a", 1000),
    reply(25, 1, "b", 1000),
    round_finished(30, 1),
    checkpoint(32, 1),
    (50.0, "run-finished", {"status": "stopped", "reason": "as asked"}),
]

pytestmark = pytest.mark.usefixtures("no_charts")


@pytest.mark.parametrize("torn", [False, True], ids=["gone", "torn"])
@pytest.mark.parametrize("lost", range(len(LINES)))
def test_a_run_of_which_one_line_is_lost_has_its_report_and_its_status(
    tmp_path: Path, lost: int, torn: bool
) -> None:
    run = made_run(tmp_path / "run", *LINES)
    lines = run.events_file.read_bytes().splitlines(keepends=True)
    lines[lost : lost + 1] = [lines[lost][:30] + b"\n"] if torn else []
    run.events_file.write_bytes(b"".join(lines))
    assert "<h1" in write_report(run.path, images=False).read_text()
    status = run_status(run, now=at(60))
    if torn or lost == 0:
        assert read_run(run.events_file).gaps == [lost + 1]
    if torn:
        assert status.warning is not None
    if lost < len(LINES) - 1:
        assert status.status == "stopped"


def test_a_lost_beginning_is_made_up_for_by_recipe_and_consortium(tmp_path: Path) -> None:
    run = made_run(tmp_path / "renamed", *LINES[1:])
    history = read_run(run.events_file)
    assert history.started.run == "renamed"
    assert history.started.recipe_sha256 == run.recipe().sha256()
    assert [site.name for site in history.started.sites] == ["a", "b", "c"]
    assert history.gap_warning is not None
    assert require_same_run(run)  # it goes on, and does not begin again


def test_events_beside_which_nothing_says_what_they_are_of_have_no_report(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", *LINES[1:])
    run.recipe_file.unlink()
    with pytest.raises(RunFolderError, match="want `run-started` as the first event, found round"):
        read_run(run.events_file)
    assert not require_same_run(RunFolder(tmp_path / "new"))
