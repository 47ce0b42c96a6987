"""Runs a program that the kernel ends when the process that started it is gone (Linux).

Run as a file: `python -I -S with_parent.py PARENT PROGRAM ARGUMENT...`. The process asks for
SIGTERM at its parent's death (prctl, PR_SET_PDEATHSIG), then becomes the program, for which that
still holds. So nothing is left behind by a `lesionfed serve` or a SuperNode that was killed without
a chance to end what it had started. Imports nothing of ours: it is there before the program is.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1


def with_parent(command: Sequence[str]) -> list[str]:
    """The command that runs `command` for as long as the calling process lives.

    The thread that starts it has to live as long: the kernel takes that one for the parent.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


if __name__ == "__main__":
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606 - the caller's own command, no shell
