"""A notice to a program of the coordinator's own."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from server.notify.notice import Notice

TIMEOUT_S = 30.0


class CommandChannel:
    """Starts a program, without a shell, and gives it the notice as one line of JSON.

    What the program writes is not kept.
    """

    name = "command"

    def __init__(self, command: Sequence[str], *, timeout_s: float = TIMEOUT_S) -> None:
        self._command = list(command)
        self._timeout_s = timeout_s

    def send(self, notice: Notice) -> None:
        """Nothing; CalledProcessError, TimeoutExpired or OSError where the program fails."""
        subprocess.run(  # noqa: S603 # the coordinator's own setting, no shell
            self._command,
            input=(notice.as_json() + "\n").encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=self._timeout_s,
            check=True,
        )
