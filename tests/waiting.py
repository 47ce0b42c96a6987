"""Waiting for what comes when it comes: a slow machine makes a test longer, not wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep  # by name: tests replace those of the module
from typing import TypeVar

T = TypeVar("T")

LIMIT_S = 120.0
"""Far more than anything here takes: reached only where it never comes."""
PAUSE_S = 0.02


def wait_until(
    look: Callable[[], T],
    what: str | Callable[[], str],
    *,
    limit_s: float = LIMIT_S,
    pause_s: float = PAUSE_S,
) -> T:
    """What `look` returns, once that is true.

    what   is waited for, for the error: "the node's second start"; or how to say it then, such as
           with the end of a log

    TimeoutError, with what was seen last, where it is not true within `limit_s`; whatever `look`
    raises ends the wait.
    """
    end = monotonic() + limit_s
    while True:
        late = monotonic() > end  # before the look: this process may have been held up itself
        if found := look():
            return found
        if late:
            words = what if isinstance(what, str) else what()
            raise TimeoutError(f"waited {limit_s:g} s for {words}; seen last: {found!r}")
        sleep(pause_s)


def is_running(pid: int) -> bool:
    """Whether the process is there and has not ended; one that nobody has cleared away has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
