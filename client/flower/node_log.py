"""What the SuperNode's log says, as the few events that matter to the hospital."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from common.cli.escaped_log import log_line
from common.programs import copy_and_empty

log = logging.getLogger(__name__)

KEEP_BYTES = 16 << 20
"""A log larger than this is rotated."""

KEEP_FILES = 4
"""How many older logs are kept, the newest as .1"""

LONGEST_LINE = 4096
READ_BYTES = 1 << 20

NodeEvent = Literal["connected", "lost", "reconnected", "work-began", "work-ended", "not-activated"]

EVENT_TEXTS: dict[str, NodeEvent] = {
    "SuperNode ID: ": "connected",
    "Connection attempt failed, retrying": "lost",
    "Connection successful after": "reconnected",
    "Received successfully": "work-began",
    "Sent successfully": "work-ended",
    "Failed to activate SuperNode": "not-activated",
}
"""What Flower's node writes -> what it means. Its texts are no interface of its: the contract test
says when one has changed."""
EXIT_CODE = re.compile(r"Exit Code: (\d{1,3})\b")


class NodeLog:
    """Follows one log file from where it ends now, and rotates it when it has grown.

    exit_code   Flower's own, such as 305, once it has been written; the process's is 0 or 1 only
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.exit_code: int | None = None
        self._read_to = path.stat().st_size if path.exists() else 0
        self._begun = b""
        self._rotate_at = KEEP_BYTES

    def events(self) -> Iterator[NodeEvent]:
        """What has been written since the last call, line by line.

        A log past KEEP_BYTES is copied and emptied where it is: the SuperNode and all that it
        started hold it open and continue in the same file. Each event is returned once.
        """
        for line in self._lines():
            if code := EXIT_CODE.search(line):
                self.exit_code = int(code[1])
            for text, event in EVENT_TEXTS.items():
                if text in line:
                    yield event

    def tail(self, n_lines: int = 12) -> str:
        """The last lines that say something, for an error's text."""
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 16384))
            text = file.read().decode("utf-8", errors="replace")
        return "\n".join([log_line(line) for line in text.split("\n") if line.strip()][-n_lines:])

    def _lines(self) -> Iterator[str]:
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            yield from self._read(file)
            if self._read_to >= self._rotate_at:
                yield from self._rotated()

    def _read(self, file: BinaryIO) -> Iterator[str]:
        """The whole lines from where `file` stands to its end."""
        while chunk := file.read(READ_BYTES):
            self._read_to += len(chunk)
            *whole, begun = (self._begun + chunk).split(b"\n")
            self._begun = begun[-LONGEST_LINE:]
            yield from (line.decode("utf-8", errors="replace") for line in whole)

    def _rotated(self) -> Iterator[str]:
        """The lines written while the log was copied; the log is empty then.

        Where there is no room for a copy the log stays until it has grown by as much again.
        """
        try:
            copied = copy_and_empty(self.path)
        except OSError as error:
            self._rotate_at = self._read_to + KEEP_BYTES
            log.warning("%s was not rotated: %s. Free some space.", self.path, error.strerror)
            return
        kept = copied.replace(_room_for_newest(self.path))
        with kept.open("rb") as copy:
            copy.seek(self._read_to)
            yield from self._read(copy)
        self._read_to, self._rotate_at = 0, KEEP_BYTES


def rotate(path: Path) -> None:
    """Renames a log that has grown past KEEP_BYTES to .1, and the older ones on to .KEEP_FILES."""
    if path.exists() and path.stat().st_size >= KEEP_BYTES:
        path.replace(_room_for_newest(path))


def _room_for_newest(path: Path) -> Path:
    """The path of the newest older log; those that were there have moved on by one."""
    for number in range(KEEP_FILES - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    return path.with_name(f"{path.name}.1")
