"""What the SuperNode's log says, as the few events that matter to the hospital."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

log = logging.getLogger(__name__)

KEEP_BYTES = 16 << 20
"""A log larger than this is put aside."""

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
    """Follows one log file from where it ends now, and turns it over when it has grown.

    exit_code   Flower's own, such as 305, once it has been written; the process's is 0 or 1 only
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.exit_code: int | None = None
        self._place = path.stat().st_size if path.exists() else 0
        self._begun = b""
        self._turn_over_at = KEEP_BYTES

    def events(self) -> Iterator[Event]:
        """What has been written since the last call, line by line.

        A log past KEEP_BYTES is copied aside and emptied where it is: the SuperNode and all that it
        started hold it open, for appending, and go on in the same file. What they write between the
        copy's last read and the emptying, some microseconds, is lost; all else is told once.
        """
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
            yield from self._read(file)
            if self._place >= self._turn_over_at:
                yield from self._turned_over(file)

    def _read(self, file: BinaryIO) -> Iterator[str]:
        """The whole lines from where `file` stands to its end."""
        while chunk := file.read(READ_BYTES):
            self._place += len(chunk)
            *whole, begun = (self._begun + chunk).split(b"\n")
            self._begun = begun[-LONGEST_LINE:]
            yield from (line.decode("utf-8", errors="replace") for line in whole)

    def _turned_over(self, file: BinaryIO) -> Iterator[str]:
        """The lines written while the log was copied; `file` is empty then.

        Where there is no room for a copy the log stays until it has grown by as much again.
        """
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            with partial.open("wb") as copy:
                file.seek(0)
                shutil.copyfileobj(file, copy, READ_BYTES)
                copy.flush()
                os.truncate(self.path, 0)
        except OSError as error:
            partial.unlink(missing_ok=True)
            self._turn_over_at = self._place + KEEP_BYTES
            log.warning("%s was not turned over: %s. Free some space.", self.path, error.strerror)
            return
        kept = _room_for_newest(self.path)
        partial.replace(kept)
        with kept.open("rb") as copy:
            copy.seek(self._place)
            yield from self._read(copy)
        self._place, self._turn_over_at = 0, KEEP_BYTES


def put_aside(path: Path) -> None:
    """Renames a log that has grown past KEEP_BYTES to .1, and the older ones on to .KEEP_FILES."""
    if path.exists() and path.stat().st_size >= KEEP_BYTES:
        path.replace(_room_for_newest(path))


def _room_for_newest(path: Path) -> Path:
    """The place of the newest log aside; those that were there have moved on by one."""
    for number in range(KEEP_FILES - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    return path.with_name(f"{path.name}.1")
