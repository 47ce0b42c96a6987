"""Whatever a run's log holds, and wherever it is cut, each reader has the same history."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.cli.run_progress import RunProgress
from server.events.history import RunHistory, read_history, read_run
from server.events.run_event import RunEvent
from server.notify.notice import Notices
from server.report.render import run_values
from server.run.run_folder import RunFolder
from server.status.run_status import run_status
from tests.server.events.made_logs import DOWN, MadeLog, logs
from tests.server.status.made_run import made_run

MANY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run folder whose events are written again for each log."""
    return made_run(tmp_path_factory.mktemp("run") / "r", rounds=3)


def write(path: Path, events: Sequence[RunEvent], torn: str = "") -> None:
    lines = [json.dumps(event.as_dict()) + "\n" for event in events]
    path.write_text("".join(lines) + torn, encoding="utf-8")


def accepted(events: Sequence[RunEvent]) -> RunHistory:
    history = RunHistory()
    for event in events:
        history.accept(event)
    return history


def rounds_of(history: RunHistory) -> list[object]:
    return [
        (key, r.started, r.sites, r.replies, r.failures, r.replies_s, r.finished)
        for key, r in history.rounds.items()
    ]


@MANY
@given(log=logs() | logs(older=True), torn=st.integers(0, 60))
def test_every_reader_has_the_same_history_of_any_log(
    folder: RunFolder, log: MadeLog, torn: int
) -> None:
    line = json.dumps(log.events[-1].as_dict())
    write(folder.events_file, log.events, torn=line[: min(torn, len(line) - 1)])
    history = read_run(folder.events_file)
    notices = Notices(federation=None, run="r1")
    progress = RunProgress(n_rounds=3, n_sites=2, history=RunHistory(), quiet=True)
    for event in log.events:
        notices.of(event)
        progress(event)

    assert accepted(log.events) == history == read_history(folder.events_file)
    assert notices.history == progress.history == history

    values = run_values(history, folder.path)
    status = run_status(folder, now=log.clock)
    assert values["run"] == history
    trained = [r for r in history.training if r.finished is not None]
    assert status.n_trained == len(trained)
    assert (status.n_resumed, status.n_void_rounds) == (
        history.n_resumed,
        len(history.void_rounds),
    )
    assert status.received_bytes == sum(s.received_bytes for s in history.by_site.values())
    assert status.sites == tuple(history.by_site.values())
    assert status.last_event == log.events[-1].time
    assert progress.n_replies == sum(len(r.replies) for r in history.training)


@MANY
@given(log=logs())
def test_of_a_run_that_was_cut_only_what_its_checkpoints_hold_counts(log: MadeLog) -> None:
    """As if the void part had never been recorded."""
    history, uncut = accepted(log.events), accepted(log.valid)

    assert rounds_of(history) == rounds_of(uncut)
    n_begun = sum(event.event == "round-started" for event in log.events)
    assert len(history.void_rounds) == n_begun - len(history.rounds)
    extra = history.evaluations.keys() - uncut.evaluations.keys()
    assert uncut.evaluations.keys() <= history.evaluations.keys()
    assert all(index <= log.training_round for _, _, index in extra)
    if history.selected != uncut.selected:  # of a round that counts, and will be selected again
        assert history.selected is not None
        assert history.selected.round <= log.training_round
    place = [c and (c.phase, c.round) for c in (history.checkpoint, uncut.checkpoint)]
    assert place[0] == place[1]


@MANY
@given(log=logs() | logs(older=True))
def test_no_round_lasts_through_the_hours_in_which_the_run_was_down(log: MadeLog) -> None:
    for of_round in accepted(log.events).rounds.values():
        assert (of_round.wall_s is None) == (of_round.finished is None)
        assert of_round.wall_s is None or timedelta(seconds=of_round.wall_s) < DOWN


@MANY
@given(log=logs(older=True))
def test_of_an_older_run_the_round_that_was_open_at_a_cut_does_not_count(log: MadeLog) -> None:
    history = accepted(log.events)
    for of_round in history.rounds.values():
        assert of_round.finished is not None or of_round.n_resumed == history.n_resumed
    assert all(of_round.finished is None for of_round in history.void_rounds)
    assert history.current is None or history.current in history.rounds.values()
