"""One `lesionfed serve` per federation: a lock, and the processes an earlier one left behind."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO

from common.errors import ConfigError
from common.files import is_locked, locked, write_whole
from server.federation.federation_folder import FederationFolder

log = logging.getLogger(__name__)

TRIES_S = 1.0
"""Others look at the lock for an instant; a server that starts just then tries for so long."""
LEFT_S = 15.0
"""How long what was left behind may take to end by itself before it is killed."""


def serving(folder: FederationFolder) -> AbstractContextManager[BinaryIO]:
    """No other process serves this federation meanwhile; ConfigError where one does already."""
    busy = ConfigError(
        f"{folder.path}: another `lesionfed serve` serves this federation. One is "
        "enough; end that one first if this one is to take over."
    )
    return locked(_lock_file(folder), busy=busy, wait_s=TRIES_S)


def is_served(folder: FederationFolder) -> bool:
    """Whether a `lesionfed serve` of this federation runs on this machine."""
    return is_locked(_lock_file(folder))


def note_children(folder: FederationFolder, commands: Mapping[int, Sequence[str]]) -> None:
    """Puts on disk which processes were started: process id -> its command."""
    table = {str(pid): list(command) for pid, command in commands.items()}
    write_whole(_children_file(folder), json.dumps(table).encode())


def end_left_behind(folder: FederationFolder) -> None:
    """Ends the noted processes that still run: those of a server that was killed.

    A process counts only while its command line holds the one that was noted, or while it is of the
    noted one's group and runs the same program (nginx's workers, which outlive their master), so
    that no other process is ended that was given the same number since.
    """
    noted = _noted(folder)
    for number, wait_s in ((signal.SIGTERM, LEFT_S), (signal.SIGKILL, LEFT_S)):
        left = _left(noted)
        if not left:
            return
        log.warning("an earlier server left processes behind; they get %s: %s", number.name, left)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        until = time.monotonic() + wait_s
        while time.monotonic() < until and _left(noted):
            time.sleep(0.1)


def _noted(folder: FederationFolder) -> dict[int, list[str]]:
    try:
        table = json.loads(_children_file(folder).read_text(encoding="utf-8"))
        return {int(pid): [str(part) for part in command] for pid, command in table.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        log.warning("%s cannot be read; no process is ended because of it", _children_file(folder))
        return {}


def _left(noted: Mapping[int, Sequence[str]]) -> list[int]:
    """Process ids of what was noted, or was started by it, and still runs."""
    left = [pid for pid, command in noted.items() if _runs(pid, command)]
    for place in Path("/proc").glob("[0-9]*"):
        pid = int(place.name)
        with suppress(OSError):
            command = noted.get(os.getpgid(pid))
            if command and pid not in left and (place / "exe").samefile(command[0]):
                left.append(pid)
    return left


def _runs(pid: int, command: Sequence[str]) -> bool:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return False
    return len(command) > 0 and " ".join(command).encode() in line


def _lock_file(folder: FederationFolder) -> Path:
    return folder.path / "serve.lock"


def _children_file(folder: FederationFolder) -> Path:
    return folder.path / "serve.json"
