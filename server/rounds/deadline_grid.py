"""Flower's view of the sites with our own deadlines: no call of it delays a round."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import httpx
from flwr.app import Message
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid

from common.errors import WireError

log = logging.getLogger(__name__)

T = TypeVar("T")

POLL_S = 0.1
"""Between two checks for an answer."""
CHECK_S = 1.0
"""From one call of `require_running` to the next while a message waits to be sent."""


class DeadlineGrid:
    """Each call comes back by its deadline, whatever the SuperLink does meanwhile.

    turn_s    how long one call may keep the others waiting; None: forever, in the caller's own
              thread, where a pull is the site's work itself (the inline engine)
    require_running   called again and again while a message waits to be sent; raises where the run
              is to end

    A stock pull can block 195 s, when the SuperLink is killed while a site uploads, and every call
    blocks as long as the SuperLink is away. So each runs in a thread of its own. One that keeps the
    others waiting for `turn_s` continues beside them, and is checked again at its next turn. So one
    answer is in memory at a time, and beside it only those that took longer than that to come.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        turn_s: float | None,
        require_running: Callable[[], None] = lambda: None,
    ) -> None:
        self._grid = grid
        self._turn_s = turn_s
        self._require_running = require_running
        self._pulls: dict[str, _Call[list[Message]]] = {}
        self._listing: _Call[list[NodeInfo]] | None = None

    def nodes(self, *, until: float) -> list[NodeInfo]:
        """The nodes that are online; none where the SuperLink does not answer in time."""
        if self._turn_s is None:
            return list(self._grid.get_nodes())
        call = self._listing or _Call(lambda: list(self._grid.get_nodes()))
        done = call.ended_within(_seconds_left(until, self._turn_s))
        self._listing = None if done else call
        return call.result() or [] if done else []

    def send(self, message: Message, *, until: float) -> str | None:
        """The message's id once the SuperLink has it; None where that takes too long."""
        call = _Call(lambda: list(self._grid.push_messages([message])), here=self._turn_s is None)
        while not call.ended_within(_seconds_left(until, CHECK_S)):
            self._require_running()
            if time.monotonic() >= until:
                return None
        sent = call.result()
        return sent[0] if sent and sent[0] else None  # Flower's [None]: the node has just gone

    def fetch(self, message_id: str, *, until: float) -> Message | None:
        """The answer to one message; None where it has not come yet.

        WireError where what the site sent cannot be put together; that of the inline engine comes
        from this process, and its errors are raised as they are.
        """
        if self._turn_s is None:
            return next(iter(self._grid.pull_messages([message_id])), None)
        call = self._pulls.pop(message_id, None)
        wait_s = 0.0
        if call is None:
            if time.monotonic() >= until:
                return None
            call = _Call(lambda: list(self._grid.pull_messages([message_id])))
            wait_s = _seconds_left(until, self._turn_s)
        if not call.ended_within(wait_s):
            self._pulls[message_id] = call
            return None
        try:
            return next(iter(call.result() or []), None)
        except Exception as error:  # Flower raises many kinds while it inflates a site's objects
            log.warning("an answer that cannot be read: %s", type(error).__name__)
            raise WireError(f"message {message_id}: the answer cannot be read: {error!r}") from None

    def forget(self, message_id: str) -> None:
        """Drops the pull of an answer that is no longer wanted."""
        self._pulls.pop(message_id, None)


class _Call(Generic[T]):
    """A call in a thread that does not keep the process alive.

    here   at once, in the caller's own thread
    """

    def __init__(self, call: Callable[[], T], *, here: bool = False) -> None:
        self._call = call
        self._found: T | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        if here:
            self._found = call()
        else:
            self._thread.start()

    def ended_within(self, wait_s: float) -> bool:
        """Whether it has ended within `wait_s` seconds from now."""
        if self._thread.ident is None:
            return True
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def result(self) -> T | None:
        """What came back; None where the connection failed, which the next try may heal."""
        if isinstance(self._error, httpx.HTTPError):
            log.warning("the SuperLink: %s", self._error)
            return None
        if self._error is not None:
            raise self._error
        return self._found

    def _run(self) -> None:
        try:
            self._found = self._call()
        except Exception as error:  # raised again where the result is wanted
            self._error = error


def _seconds_left(until: float, most_s: float | None) -> float:
    left = max(0.0, until - time.monotonic())
    return left if most_s is None else min(left, most_s)
