"""What happened in a run, a line of JSON each: the one source for progress, report and exports."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Event = Mapping[str, Any]


class EventLog:
    """Appends events to a file and hands each to a listener.

    path       events.jsonl
    listener   called with each event after it is on disk, such as a progress display
    """

    def __init__(self, path: Path, listener: Callable[[Event], None] | None = None) -> None:
        self._path = path
        self._listener = listener

    def record(self, event: str, **facts: object) -> None:
        """Writes one event; facts must be JSON, without NaN."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {"time": time, "event": event, **facts}
        line = json.dumps(entry, allow_nan=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if self._listener is not None:
            self._listener(entry)
