"""Resuming a run, and ending one before its time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from common.errors import FlowerError, RunFolderError
from server.events.event_log import EventLog
from server.events.history import read_history
from server.events.same_run import require_same_run
from server.events.schema import RunFinished
from server.federation.federation_folder import FederationFolder
from server.federation.flower_connection import CONNECTION
from server.flower.flwr_command import flwr
from server.flower.submission import flower_status, submissions, submit
from server.flower.watch import ends_within
from server.run.leakage import require_apart_still
from server.run.run_folder import RunFolder
from server.status.run_status import RunStatus, run_status

log = logging.getLogger(__name__)

STOP_S = 90.0
"""How long a run may take to end by itself once it was asked to: it checks between messages."""
LAST_RESORT_S = 30.0
"""How long its process may take once Flower was asked to end it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed:
    """A run that was submitted to Flower again.

    flower_run_id   Flower's id of the new submission
    skip            bytes of events.jsonl that are of earlier ones
    """

    flower_run_id: str
    skip: int


def existing_run(folder: FederationFolder, name: str) -> RunFolder:
    """The folder of a run of this name; RunFolderError, with the names there are, without one."""
    run = folder.run(name)
    if not run.recipe_file.is_file():
        known = ", ".join(run.path.name for run in all_runs(folder)) or "none yet"
        raise RunFolderError(f"no run {name!r} in {folder.runs}. Runs there: {known}.")
    return run


def all_runs(folder: FederationFolder) -> list[RunFolder]:
    """Every run of the federation, by name."""
    if not folder.runs.is_dir():
        return []
    folders = sorted(path for path in folder.runs.iterdir() if (path / "recipe.toml").is_file())
    return [RunFolder(path) for path in folders]


def events_bytes(run: RunFolder) -> int:
    """The size of the run's events; 0 before the first."""
    return run.events_file.stat().st_size if run.events_file.exists() else 0


def resume(folder: FederationFolder, run: RunFolder) -> Resumed:
    """The new submission; the run continues from its last checkpoint.

    Where the federation's folder was moved since the run began, the new place of its members is
    written into the run. ConfigError where the coordinator's own sites have changed and now share a
    subject or an image. RunFolderError where it is completed or still executed, or where its
    recipe or our code has changed since it started.
    """
    status = _status(run)
    if run.is_executing():
        raise RunFolderError(
            f"run {run.path.name} is still running. See it with `lesionfed status "
            f"{run.path.name}`, or end it first with `lesionfed stop {run.path.name}`."
        )
    if status.status == "completed":
        raise RunFolderError(
            f"run {run.path.name} is completed: its report is {run.path / 'report.html'}. Start "
            "another with `lesionfed run`."
        )
    require_same_run(run)
    _end_at_flower(folder, run)
    with run.locked():
        require_apart_still(run)
        run.submissions_file.touch()  # interrupted_runs.py gives this one time to begin
        run.stop_file.unlink(missing_ok=True)
        if status.status == "stopped" and status.started is None:  # all there is of it is its end
            run.events_file.unlink()
        _update_members_file(folder, run)
        skip = events_bytes(run)
    return Resumed(flower_run_id=submit(folder, run), skip=skip)


def stop(folder: FederationFolder, run: RunFolder, *, say: Callable[[str], None]) -> RunStatus:
    """The status of the run once no process executes it any more.

    say   takes one line on what is waited for

    RunFolderError where the run has ended already; FlowerError where it will not end.
    """
    status = _status(run)
    if status.status in ("completed", "stopped", "failed"):
        raise RunFolderError(f"run {run.path.name} has ended already: it is {status.status}.")
    run.stop_file.touch()
    if run.is_executing():
        say(f"asked run {run.path.name} to stop; it ends at its next check, within {STOP_S:g} s")
        if not ends_within(run, STOP_S):
            say("it did not react; Flower is asked to end it")
            _end_at_flower(folder, run)
            ends_within(run, LAST_RESORT_S)
        if run.is_executing():
            raise FlowerError(
                f"run {run.path.name}: its process will not end. End `lesionfed serve` and start "
                "it again; the run can then be resumed."
            )
    _end_at_flower(folder, run)
    if _status(run).status in ("interrupted", "not-started"):
        with run.locked():
            if read_history(run.events_file).finished is None:
                reason = "stopped by the coordinator while no process executed it"
                EventLog(run.events_file).record(RunFinished(status="stopped", reason=reason))
    return _status(run)


def _update_members_file(folder: FederationFolder, run: RunFolder) -> None:
    """Writes into the run where the federation's members are, where that has changed."""
    consortium, here = run.consortium(), folder.members_file.resolve()
    if consortium.members_file not in (None, here):
        log.warning("run %s: its members are in %s now", run.path.name, here)
        run.write_consortium(consortium.model_copy(update={"members_file": here}))


def _end_at_flower(folder: FederationFolder, run: RunFolder) -> None:
    """Stops the last submission at Flower, so that no site works on old messages."""
    for last in submissions(run)[-1:]:
        status = flower_status(folder, last.flower_run_id)
        if not status or status.startswith("finished"):
            continue
        try:
            flwr(folder, "stop", last.flower_run_id, CONNECTION)
        except FlowerError as error:  # it may have ended since
            log.warning("%s", error)


def _status(run: RunFolder) -> RunStatus:
    return run_status(run, now=datetime.now(UTC))
