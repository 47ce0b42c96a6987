"""What the SuperNode's log says, as the few events that matter to the hospital."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

KEEP_BYTES = 16 << 20
"""A log larger than this is put aside when the SuperNode starts."""

KEEP_FILES = 4
"""How many logs are kept aside, the newest as .1"""

LONGEST_LINE = 4096
READ_BYTES = 1 << 20

Event = Literal["connected", "lost", "reconnected", "work-began", "work-ended", "not-activated"]

_WORDS: dict[str, Event] = {
    "SuperNode ID: ": "connected",
    "Connection attempt failed, retrying": "lost",
    "Connection successful after": "reconnected",
    "Received successfully": "work-began",
    "Sent successfully": "work-ended",
    "Failed to activate SuperNode": "not-activated",
}
_EXIT_CODE = re.compile(r"Exit Code: (\d{1,3})\b")


class NodeLog:
    """Follows one log file from where it ends now.

    exit_code   Flower's own, such as 305, once it has been written; the process's is 0 or 1 only
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.exit_code: int | None = None
        self._place = path.stat().st_size if path.exists() else 0
        self._begun = b""

    def events(self) -> Iterator[Event]:
        """What has been written since the last call, line by line."""
        for line in self._lines():
            if code := _EXIT_CODE.search(line):
                self.exit_code = int(code[1])
            for words, event in _WORDS.items():
                if words in line:
                    yield event

    def tail(self, n_lines: int = 12) -> str:
        """The last lines that say something, for an error's text."""
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 16384))
            text = file.read().decode("utf-8", errors="replace")
        return "\n".join([line for line in text.splitlines() if line.strip()][-n_lines:])

    def _lines(self) -> Iterator[str]:
        with self.path.open("rb") as file:
            file.seek(self._place)
            while chunk := file.read(READ_BYTES):
                self._place += len(chunk)
                *whole, begun = (self._begun + chunk).split(b"\n")
                self._begun = begun[-LONGEST_LINE:]
                yield from (line.decode("utf-8", errors="replace") for line in whole)


def put_aside(path: Path) -> None:
    """Renames a log that has grown past KEEP_BYTES to .1, and the older ones on to .KEEP_FILES."""
    if not path.exists() or path.stat().st_size < KEEP_BYTES:
        return
    for number in range(KEEP_FILES - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))
