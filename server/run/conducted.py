"""Whether somebody conducts a run now."""

from __future__ import annotations

import fcntl
from pathlib import Path


def is_conducted(run: Path) -> bool:
    """Whether the lock in the run's folder is held.

    The look takes a shared lock for an instant, so a conductor that starts in it must try twice.
    """
    try:
        file = (run / "lock").open("rb")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
