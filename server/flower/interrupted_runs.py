"""Runs whose process has died: their end is recorded here, since no process of theirs can."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime

from common.errors import RunFolderError
from server.events.event_log import EventLog
from server.events.run_event import RunEvent
from server.events.schema import RunEnd, RunFinished
from server.federation.federation_folder import FederationFolder
from server.flower.fault_log import FaultLog
from server.flower.run_control import all_runs, events_bytes
from server.flower.watch import BEGIN_S, how_to_resume
from server.notify.notifier import Notifier
from server.run.notify_settings import Notify
from server.run.run_folder import Consortium, RunFolder
from server.status.run_status import quiet_limit_s, run_status

log = logging.getLogger(__name__)

CHECK_S = 5.0
"""From one check of the runs to the next."""
GRACE_S = 30.0
"""How long a run is found without a process that executes it before its end is recorded."""


class InterruptedRuns:
    """Finds runs of a federation that have begun, have no end and are executed by no process.

    Such a run is recorded as failed, or as stopped where somebody has asked it to stop, and the
    people in its own [notify] get a notice. `lesionfed resume` continues it like any other.

    A run that was just submitted to Flower is left alone until it has had the time to begin, and
    one that begins in this instant holds the lock, which decides.
    """

    def __init__(self, folder: FederationFolder) -> None:
        self._folder = folder
        self._faults = FaultLog()
        self._next_check = 0.0
        self._interrupted_since: dict[str, float] = {}
        self._ended: dict[str, int] = {}
        """Run -> bytes of its events once it has ended; not read again while it has as many."""

    def check(self) -> None:
        """Ends what was interrupted; a run that cannot be read is logged once, and tried again."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_S
        for run in all_runs(self._folder):
            with self._faults.logged(f"checking run {run.path.name}"):
                self._check_run(run, now)

    def _check_run(self, run: RunFolder, now: float) -> None:
        name, n_bytes = run.path.name, events_bytes(run)
        if n_bytes in (0, self._ended.get(name)):
            return
        if run.is_executing():
            self._interrupted_since.pop(name, None)
            return
        status = run_status(run, now=datetime.now(UTC))
        if status.status in ("completed", "stopped", "failed"):
            self._ended[name] = n_bytes
        if status.status != "interrupted" or status.engine != "deployment":
            self._interrupted_since.pop(name, None)
            return
        if now - self._interrupted_since.setdefault(name, now) < GRACE_S:
            return
        if status.last_event is not None and not _may_begin_yet(run, status.last_event):
            self._end(run, status.last_event, n_bytes=n_bytes)

    def _end(self, run: RunFolder, last_event: datetime, *, n_bytes: int) -> None:
        """Records the end and sends the notice, unless the run has changed since the check."""
        consortium, stall_s = run.consortium(), quiet_limit_s(run.recipe())
        status: RunEnd = "failed"
        reason = _reason(self._folder, run)
        ends: list[RunEvent] = []
        try:
            with run.locked():
                if events_bytes(run) != n_bytes or _may_begin_yet(run, last_event):
                    return
                if run.stop_file.exists():
                    status, reason = "stopped", "stopped by the coordinator; its process had died"
                events = EventLog(run.events_file, ends.append)
                events.record(RunFinished(status=status, reason=reason))
        except RunFolderError:  # a process executes it now
            return
        log.warning("run %s has ended as %s: %s", run.path.name, status, reason)
        # a mail server that hangs must not keep a program from being started again
        arguments = (run, consortium, stall_s, ends)
        threading.Thread(
            target=_notify, args=arguments, name="interrupted-run", daemon=True
        ).start()


def _notify(run: RunFolder, consortium: Consortium, stall_s: float, ends: list[RunEvent]) -> None:
    with Notifier(
        consortium.notify or Notify(),
        federation=consortium.federation,
        run=consortium.run,
        folder=run.path,
        stall_s=stall_s,
    ) as notifier:
        for end in ends:
            notifier(end)


def _reason(folder: FederationFolder, run: RunFolder) -> str:
    return (
        "the process that executed the run has died without a word. "
        f"{how_to_resume(folder, run)} continues from the last checkpoint"
    )


def _may_begin_yet(run: RunFolder, last_event: datetime) -> bool:
    """Whether the run was submitted to Flower after its last event, and not too long ago."""
    try:
        submitted = run.submissions_file.stat().st_mtime
    except FileNotFoundError:
        return False
    return submitted > last_event.timestamp() and time.time() < submitted + BEGIN_S
