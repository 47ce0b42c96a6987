"""One call within bounds of time and memory; what goes past them is named."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from common.errors import LesionFedError

LONGEST_S = 5.0
MOST_BYTES = 500 << 20


class Hangs(BaseException):
    """No Exception, so that nothing catches it."""


def fault_of(call: Callable[[], object]) -> str | None:
    """What is wrong with how `call` ends; None where it returns, or raises an error of ours.

    Wrong are another exception, an error without words or with control characters, more than
    LONGEST_S, and more than MOST_BYTES of memory beyond what the process has already: a limit on
    the address space makes that a MemoryError, which is looked for behind an error of ours too.
    """
    old = signal.signal(signal.SIGALRM, _ring)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    began = time.monotonic()
    wrong = None
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MOST_BYTES, hard))
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    try:
        call()
    except LesionFedError as error:
        wrong = _fault_of_text(error)
    except (Exception, SystemExit, Hangs) as error:
        wrong = f"{type(error).__name__}: {str(error)[:200]!r}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, old)
    took_s = time.monotonic() - began
    if wrong is None and took_s > LONGEST_S:
        return f"{took_s:.1f} s"
    return wrong


def _ring(number: int, frame: FrameType | None) -> None:
    raise Hangs


def _fault_of_text(error: LesionFedError) -> str | None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return f"more than {MOST_BYTES} bytes, behind {type(error).__name__}"
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    if len(text) < 10 or not all(line.isprintable() for line in text.split("\n")):
        return f"a text that says nothing, or cannot be printed: {text[:200]!r}"
    return None


def _address_space() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
