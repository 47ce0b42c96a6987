"""What happened in a run, a line of JSON each: the one source for progress, report and exports."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

Event = Mapping[str, Any]


class Place(TypedDict):
    """Where in a run something happened: a phase by name, and its round from 1."""

    phase: str
    round: int


class EventLog:
    """Appends events to a file and hands each to a listener.

    path       events.jsonl; a last line that a cut left half written is taken off
    listener   called with each event after it is on disk, such as a progress display
    """

    def __init__(self, path: Path, listener: Callable[[Event], None] | None = None) -> None:
        self._path = path
        self._listener = listener
        if path.exists():
            _without_torn_end(path)

    def record(self, event: str, **facts: object) -> None:
        """Writes one event; facts must be JSON, without NaN.

        OSError where the disk does not take it: the file then ends with the event before.
        """
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"time": time, "event": event, **facts}
        line = (json.dumps(entry, allow_nan=False) + "\n").encode()
        with self._path.open("ab", buffering=0) as file:
            end = file.tell()
            if file.write(line) < len(line):  # a disk takes what still fits, and says nothing
                file.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        if self._listener is not None:
            self._listener(entry)


def first_event(path: Path) -> Event | None:
    """The `run-started` a run began with; None before it began.

    A full disk may have refused it and taken the `run-finished` after it.
    """
    with path.open(encoding="utf-8") if path.exists() else io.StringIO() as file:
        events = (json.loads(line) for line in file)
        return next((event for event in events if event["event"] == "run-started"), None)


def _without_torn_end(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
