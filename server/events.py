"""What happened in a run, a line of JSON each: the one source for progress, report and exports."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Event = Mapping[str, Any]


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
        """Writes one event; facts must be JSON, without NaN."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"time": time, "event": event, **facts}
        line = json.dumps(entry, allow_nan=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if self._listener is not None:
            self._listener(entry)


def first_event(path: Path) -> Event | None:
    """The event a run began with; None before it began."""
    with path.open(encoding="utf-8") if path.exists() else io.StringIO() as file:
        line = file.readline()
    return json.loads(line) if line else None


def _without_torn_end(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
