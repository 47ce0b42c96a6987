"""Runs whose process has died: their end is recorded and told, since nobody else is left to."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime

from common.errors import RunFolderError
from server.events.event_log import EventLog
from server.events.schema import RunEnd, RunEvent, RunFinished
from server.federation.federation_folder import FederationFolder
from server.flower.fault_log import FaultLog
from server.flower.run_control import all_runs
from server.flower.watch import BEGIN_S, how_to_resume
from server.notify.notifier import Notifier
from server.run.conducted import is_conducted
from server.run.notify_settings import Notify
from server.run.run_folder import Consortium, RunFolder
from server.status.run_status import quiet_limit_s, run_status

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""From one look at the runs to the next."""
GRACE_S = 30.0
"""How long a run is seen without anybody who conducts it before its end is recorded."""


class FallenRuns:
    """Looks for runs of a federation that have begun, have no end and are conducted by nobody.

    Such a run is recorded as failed, or as stopped where somebody has asked it to stop, and the
    people of its own [notify] are told. `lesionfed resume` goes on with it as with any other.

    A run that has just been handed to Flower is left alone until it has had the time to begin, and
    one that begins in this instant holds the lock, which decides.
    """

    def __init__(self, folder: FederationFolder) -> None:
        self._folder = folder
        self._faults = FaultLog()
        self._next_look = 0.0
        self._fallen_since: dict[str, float] = {}
        self._ended: dict[str, int] = {}
        """Run -> bytes of its events when it was seen to have ended; not read again as long."""

    def look(self) -> None:
        """Ends what has fallen; a run that cannot be read is logged once, and looked at again."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_S
        for run in all_runs(self._folder):
            with self._faults.noted(f"the look at run {run.path.name}"):
                self._look_at(run, now)

    def _look_at(self, run: RunFolder, now: float) -> None:
        name, n_bytes = run.path.name, _n_bytes(run)
        if n_bytes in (0, self._ended.get(name)):
            return
        if is_conducted(run.path):
            self._fallen_since.pop(name, None)
            return
        status = run_status(run, now=datetime.now(UTC))
        if status.status in ("completed", "stopped", "failed"):
            self._ended[name] = n_bytes
        if status.status != "interrupted" or status.engine != "deployment":
            self._fallen_since.pop(name, None)
            return
        if now - self._fallen_since.setdefault(name, now) < GRACE_S:
            return
        if status.last_event is not None and not _may_begin_yet(run, status.last_event):
            self._end(run, status.last_event, n_bytes=n_bytes)

    def _end(self, run: RunFolder, last_event: datetime, *, n_bytes: int) -> None:
        """Records the end and has it told, unless something has befallen the run since the look."""
        consortium, stall_s = run.consortium(), quiet_limit_s(run.recipe())
        status: RunEnd = "failed"
        reason = _died(self._folder, run)
        ends: list[RunEvent] = []
        try:
            with run.locked():
                if _n_bytes(run) != n_bytes or _may_begin_yet(run, last_event):
                    return
                if run.stop_file.exists():
                    status, reason = "stopped", "stopped by the coordinator; its process had died"
                events = EventLog(run.events_file, ends.append)
                events.record(RunFinished(status=status, reason=reason))
        except RunFolderError:  # somebody conducts it now
            return
        log.warning("run %s has ended as %s: %s", run.path.name, status, reason)
        # a mail server that hangs must not keep a program from being started again
        arguments = (run, consortium, stall_s, ends)
        threading.Thread(target=_tell, args=arguments, name="fallen-run", daemon=True).start()


def _tell(run: RunFolder, consortium: Consortium, stall_s: float, ends: list[RunEvent]) -> None:
    with Notifier(
        consortium.notify or Notify(),
        federation=consortium.federation,
        run=consortium.run,
        folder=run.path,
        stall_s=stall_s,
    ) as notifier:
        for end in ends:
            notifier(end)


def _died(folder: FederationFolder, run: RunFolder) -> str:
    return (
        "the process that conducted the run has died without a word. "
        f"{how_to_resume(folder, run)} goes on from the last checkpoint"
    )


def _may_begin_yet(run: RunFolder, last_event: datetime) -> bool:
    """Whether the run was handed to Flower after its last event, and not too long ago."""
    try:
        handed = run.submissions_file.stat().st_mtime
    except FileNotFoundError:
        return False
    return handed > last_event.timestamp() and time.time() < handed + BEGIN_S


def _n_bytes(run: RunFolder) -> int:
    try:
        return run.events_file.stat().st_size
    except FileNotFoundError:
        return 0
