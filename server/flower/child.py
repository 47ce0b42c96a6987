"""One program that `lesionfed serve` keeps alive."""

from __future__ import annotations

import logging
import logging.handlers
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from common.programs import with_parent

log = logging.getLogger(__name__)

RESTART_DELAY_S = 2.0
"""From a program's end to its next start; doubled each time up to LONGEST_DELAY_S."""
LONGEST_DELAY_S = 60.0
STEADY_S = 60.0
"""A program that has lived so long starts again after RESTART_DELAY_S."""
GRACE_S = 10.0
"""How long a program may take to end by itself before it is killed; Flower's own forces it at 5."""
LOG_BYTES = 10 << 20
N_LOGS = 5
"""A program's log is rotated at 10 MiB, and the last five are kept."""


class Child:
    """A program and its log; restarted after each unwanted end.

    name      in messages, and of the log file: superlink
    command   full path of the program and its arguments
    logs      folder of `name`.log, which takes all that the program writes
    """

    def __init__(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], logs: Path
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log_file = logs / f"{name}.log"
        self.n_starts = 0
        self._environment = dict(environment)
        self._process: subprocess.Popen[str] | None = None
        self._last_lines: deque[str] = deque(maxlen=20)
        self._started = 0.0
        self._due: float | None = None
        self._delay_s = RESTART_DELAY_S

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self.is_alive else None

    @property
    def is_alive(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.poll() is None

    @property
    def last_lines(self) -> str:
        """The last lines that it wrote since its last start."""
        return "\n".join(self._last_lines)

    def start(self) -> None:
        """Starts the program in a group of its own, as a child that ends with this process.

        What an earlier one has left behind is ended first: nginx's workers outlive a master that
        was killed, and hold its port.
        """
        self._end_group()
        self._last_lines.clear()
        self._process = subprocess.Popen(  # noqa: S603 - our own installation's programs, no shell
            with_parent(self.command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=self._environment,
            process_group=0,
        )
        self.n_starts += 1
        self._started, self._due = time.monotonic(), None
        threading.Thread(target=self._write_log, args=(self._process.stdout,), daemon=True).start()

    def restart_if_ended(self) -> bool:
        """Whether it was restarted now: it has ended, and the delay since has passed."""
        if self.is_alive:
            return False
        now = time.monotonic()
        if self._due is None:
            lived_s = now - self._started
            if lived_s >= STEADY_S:
                self._delay_s = RESTART_DELAY_S
            code = None if self._process is None else self._process.returncode
            log.warning(
                "%s ended with code %s after %.0f s; it starts again in %.0f s, see %s",
                self.name,
                code,
                lived_s,
                self._delay_s,
                self.log_file,
            )
            self._due = now + self._delay_s
            self._delay_s = min(2 * self._delay_s, LONGEST_DELAY_S)
        if now < self._due:
            return False
        self.start()
        return True

    def end(self) -> None:
        """Ends it, first by request, then by force."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._end_group()

    def _end_group(self) -> None:
        """Ends all that the last program started and that is still there."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _write_log(self, output: IO[str]) -> None:
        """Writes what the program prints into its log, until its end."""
        handler = logging.handlers.RotatingFileHandler(
            self.log_file, maxBytes=LOG_BYTES, backupCount=N_LOGS, encoding="utf-8"
        )
        with output:
            for line in output:
                text = line.rstrip("\n")
                self._last_lines.append(text)
                handler.handle(logging.makeLogRecord({"msg": text}))
        handler.close()
