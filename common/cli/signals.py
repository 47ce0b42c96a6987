"""The signals by which this process is asked to end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

Handler = Callable[[int, FrameType | None], object]

ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
"""As a service manager asks, and as a closed terminal does."""


def on_end(handler: Handler) -> None:
    """Calls `handler` when the process is asked to end, however that is asked, but for Ctrl-C.

    A signal that is ignored already stays so: `nohup` has had SIGHUP ignored on purpose.
    """
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
