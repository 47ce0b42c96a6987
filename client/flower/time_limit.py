"""An app that ends itself once the coordinator no longer waits for its answer.

Flower waits for a ClientApp for as long as its heartbeat lives, and the heartbeat is a thread of
its own: work that hangs, such as a read from a disk that is gone, would hold the site's node until
a person came. Here the process ends itself. Flower misses the heartbeat within a minute, tells the
coordinator that the app has crashed, and receives the next request.

Only a process of its own may be ended so: the inline engine calls the app without this.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flwr.app import Context, Message

log = logging.getLogger(__name__)

GIVEN_UP = 124
"""The process's exit code, that of timeout(1)."""

LONGEST_S = 30 * 24 * 3600.0
"""The bound where a message names none that makes sense."""

LOG_S = 5.0
"""How long the log may take: the disk that hangs may be its own."""


class TimeLimitedApp:
    """`app`, whose process ends where the answer takes longer than the coordinator waits for it.

    The time to live is counted from when the app gets the message: the clocks of two machines
    differ. The way here took a part of it, so that an answer just within it may still be late.
    """

    def __init__(self, app: Callable[[Message, Context], Message]) -> None:
        self.app = app

    def __call__(self, message: Message, context: Context) -> Message:
        wait_s = message.metadata.ttl
        if not 0 <= wait_s <= LONGEST_S:
            wait_s = LONGEST_S
        with given_up_after(wait_s):
            return self.app(message, context)


@contextmanager
def given_up_after(wait_s: float) -> Iterator[None]:
    """Ends the process where the block takes longer than `wait_s` seconds."""
    timer = threading.Timer(wait_s, _give_up, args=(wait_s,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _give_up(wait_s: float) -> None:
    """Ends the process; it has no time to clean up, for what hangs may never let it."""
    logger = threading.Thread(target=_log_reason, args=(wait_s,), daemon=True)
    logger.start()
    logger.join(LOG_S)
    os._exit(GIVEN_UP)


def _log_reason(wait_s: float) -> None:
    log.error(
        "the work took longer than the coordinator waits for it (%.0f s): it is given up, and the "
        "next request is answered within minutes. If it comes again, check whether the disks "
        "with the data and the work folder answer, and whether this machine is too slow.",
        wait_s,
    )
