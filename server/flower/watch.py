"""A run that another process executes: its events as they come, and its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from common.errors import FlowerError
from server.events.event_log import parse_event
from server.events.run_event import RunEvent
from server.events.schema import RunFinished
from server.federation.federation_folder import FederationFolder
from server.flower.submission import flower_status
from server.run.run_folder import RunFolder

POLL_S = 0.5
"""From one read of the events to the next."""
GONE_S = 3.0
"""A run that no process has executed for so long, and that has no end, was interrupted."""
ASK_FLOWER_S = 5.0
"""Before a run begins: from one question to Flower to the next."""
BEGIN_S = 180.0
"""How long a submitted run may take to begin; 4 s on an idle machine."""
REPORT_S = 300.0
"""How long the report may take after the end of a run."""


class EventTail:
    """The events that were added since the last read.

    path    events.jsonl, which may not be there yet
    skip    bytes that were read before
    """

    def __init__(self, path: Path, *, skip: int = 0) -> None:
        self._path = path
        self._read = skip

    def new(self) -> Iterator[RunEvent]:
        """Each event that is whole and was not given yet."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            lines = file.readlines()
        for line in lines:
            if not line.endswith(b"\n"):
                return  # the rest of it is still to come
            self._read += len(line)
            with suppress(ValueError):  # a damaged line: the report says so
                yield parse_event(line)


def watch(
    folder: FederationFolder,
    run: RunFolder,
    *,
    flower_run_id: str,
    skip: int,
    listener: Callable[[RunEvent], None],
) -> RunFinished:
    """The event that the run ends with, once its report is written as well.

    flower_run_id   of the submission that is watched
    skip            bytes of events.jsonl that are of earlier submissions
    listener        called with each event as it comes

    FlowerError where the process that executes the run has died, or the run does not begin.
    """
    tail = EventTail(run.events_file, skip=skip)
    submitted = time.monotonic()
    executed, begun, asked = submitted, False, submitted
    while True:
        locked = run.is_executing()  # before the events: the process may have ended since
        for event in tail.new():
            executed, begun = time.monotonic(), True
            listener(event)
            if isinstance(event, RunFinished):
                ends_within(run, REPORT_S)
                return event
        now = time.monotonic()
        if locked:
            executed, begun = now, True
        if begun and now - executed > GONE_S:
            raise FlowerError(
                f"run {run.path.name}: the process that executed it has died without a word. "
                "Nothing of its last checkpoint is lost: " + how_to_resume(folder, run)
            )
        if not begun and now - asked > ASK_FLOWER_S:
            asked = now
            _require_to_begin(folder, run, flower_run_id, waited_s=now - submitted)
        time.sleep(POLL_S)


def how_to_resume(folder: FederationFolder, run: RunFolder) -> str:
    """The command that resumes a run."""
    return f"`lesionfed resume {run.path.name} --federation {folder.path}`"


def _require_to_begin(
    folder: FederationFolder, run: RunFolder, flower_run_id: str, *, waited_s: float
) -> None:
    status = flower_status(folder, flower_run_id)
    if status.startswith("finished") and not run.events_file.exists():
        raise FlowerError(
            f"run {run.path.name} ended before it began ({status}). `lesionfed logs "
            f"{run.path.name} --serverapp --federation {folder.path}` says why."
        )
    if status.startswith("finished") or waited_s > BEGIN_S:
        raise FlowerError(
            f"run {run.path.name} has not begun within {waited_s:.0f} s; Flower calls it "
            f"{status or 'unknown'}. See {folder.logs / 'superexec.log'}, then "
            + how_to_resume(folder, run)
        )


def ends_within(run: RunFolder, wait_s: float) -> bool:
    """Whether no process executes the run any more, once that is so or the time is up."""
    until = time.monotonic() + wait_s
    while run.is_executing():
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S / 5)
    return True
