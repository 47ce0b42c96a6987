"""Long-running programs that a test starts, watches and stops with everything they started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.waiting import LIMIT_S, wait_until

GRACE_S = 10.0
"""How long a program may take to end by itself before it is killed."""
KILLED_S = 60.0
"""How long the system may take to clear away what was killed."""


class Service:
    """One program in a process group of its own, writing to one log file.

    Whatever the program starts stays in that group, so that `stop` reaches it too.
    """

    def __init__(
        self, command: Sequence[str], *, log: Path, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.log = log
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )

    @property
    def name(self) -> str:
        """The log file's name without its ending."""
        return self.log.stem

    def exit_code(self) -> int | None:
        """How the program ended, None while it runs."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Pass a signal to every process of the group; none left is no error."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def group_ends_within(self, wait_s: float) -> bool:
        """Whether the program and all it started are gone in time."""
        end = time.monotonic() + wait_s
        while self.exit_code() is None or self._group_lives():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def log_tail(self, n_lines: int = 30) -> str:
        """The last lines of the log under a heading, for a failure message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-n_lines:]
        return "\n".join([f"--- {self.name} (exit code {self.exit_code()})", *lines])

    def _group_lives(self) -> bool:
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True


def wait_beside(
    services: Sequence[Service],
    holds: Callable[[], bool],
    what: str,
    *,
    limit_s: float = LIMIT_S,
    pause_s: float = 0.1,
) -> None:
    """Returns once `holds()`.

    RuntimeError with its log as soon as one of the services has ended, TimeoutError with all of
    them where it does not hold in time.
    """

    def look() -> bool:
        if holds():
            return True
        if dead := [service.log_tail() for service in services if service.exit_code() is not None]:
            raise RuntimeError("\n".join([f"waiting for {what}: ended early", *dead]))
        return False

    wait_until(
        look,
        lambda: "\n".join([what, *(service.log_tail() for service in services)]),
        limit_s=limit_s,
        pause_s=pause_s,
    )


def stop_all(services: Sequence[Service]) -> None:
    """End the services and all they started, first by request, then by force.

    TimeoutError names a service that outlives both.
    """
    for number, wait_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, KILLED_S)):
        for service in services:
            service.send(number)
        end = time.monotonic() + wait_s
        living = [s for s in services if not s.group_ends_within(end - time.monotonic())]
        if not living:
            return
    raise TimeoutError(f"still running after SIGKILL: {', '.join(s.name for s in living)}")
