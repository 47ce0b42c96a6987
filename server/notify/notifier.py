"""Sends notices of what happens in a run, and never delays the run."""

from __future__ import annotations

import logging
import queue
import smtplib
import subprocess
import threading
import time
import urllib.error
from pathlib import Path
from typing import Self

from server.events.run_event import RunEvent
from server.notify.channel import channels_of
from server.notify.notice import Notice, Notices, record_notice
from server.run.notify_settings import Notify

log = logging.getLogger(__name__)

MAX_QUEUED = 100
"""Notices that wait to be sent; what comes beyond is recorded as not sent."""
DRAIN_S = 60.0
"""How long the end of a run waits for its last notices."""


class Notifier:
    """A listener of a run's events that sends notices from a thread of its own.

    settings     who gets notices, and by which way
    federation   its name; None in a simulation
    run          the run's name
    folder       the run's folder, where each notice is recorded
    stall_s      seconds without any event after which `stalled` is sent, once
    drain_s      seconds that `close` waits for what is not sent yet

    Nothing is raised into the run: what cannot be sent is logged and recorded.
    """

    def __init__(
        self,
        settings: Notify,
        *,
        federation: str | None,
        run: str,
        folder: Path,
        stall_s: float,
        drain_s: float = DRAIN_S,
    ) -> None:
        self._channels = channels_of(settings)
        self._notices = Notices(federation=federation, run=run)
        self._folder = folder
        self._stall_s = stall_s
        self._drain_s = drain_s
        self._queue: queue.Queue[Notice | None] = queue.Queue(MAX_QUEUED)
        self._last_event = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="notifier", daemon=True)

    def __enter__(self) -> Self:
        self._last_event = time.monotonic()
        if self._channels:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, event: RunEvent) -> None:
        """Queues the notice of one event, if it is worth one; returns at once."""
        self._last_event = time.monotonic()
        if not self._channels:
            return
        try:
            if (notice := self._notices.of(event)) is not None:
                self._put(notice)
        except Exception:  # whatever is wrong with a notice, the run continues
            log.exception("no notice could be made of an event")

    def close(self) -> None:
        """Waits, within `drain_s`, until what is queued is sent."""
        if not self._thread.is_alive():
            return
        end = time.monotonic() + self._drain_s
        try:
            self._queue.put(None, timeout=self._drain_s)
        except queue.Full:
            log.error("the last notices were not sent within %g s", self._drain_s)
            return
        self._thread.join(max(0.0, end - time.monotonic()))
        if self._thread.is_alive():
            log.error("the last notices were not sent within %g s", self._drain_s)

    def _put(self, notice: Notice) -> None:
        try:
            self._queue.put_nowait(notice)
        except queue.Full:
            self._record(notice, channel="queue", error=f"{MAX_QUEUED} notices wait already")

    def _work(self) -> None:
        stall_sent_for = -1.0
        while True:
            last_event = self._last_event
            left_s = last_event + self._stall_s - time.monotonic()
            is_sent = stall_sent_for == last_event
            try:
                # after a notice of a stall, the next event is looked for every stall_s again
                notice = self._queue.get(timeout=self._stall_s if is_sent else max(0.0, left_s))
            except queue.Empty:
                if self._last_event == last_event and not is_sent:
                    stall_sent_for = last_event
                    self._send(self._notices.stalled(time.monotonic() - last_event))
                continue
            if notice is None:
                return
            self._send(notice)

    def _send(self, notice: Notice) -> None:
        for channel in self._channels:
            try:
                channel.send(notice)
            except Exception as error:  # any fault of a channel is its own, never the run's
                self._record(notice, channel=channel.name, error=_error_text(error))
            else:
                self._record(notice, channel=channel.name, error=None)

    def _record(self, notice: Notice, *, channel: str, error: str | None) -> None:
        if error is not None:
            log.error("notice %s was not sent by %s: %s", notice.what, channel, error)
        try:
            record_notice(self._folder, notice, channel=channel, error=error)
        except OSError as fault:
            log.error("notice %s: not recorded: %s", notice.what, fault.strerror)


def _error_text(error: Exception) -> str:
    """The error, without the address or the command: they may hold a secret."""
    match error:
        case subprocess.TimeoutExpired():
            return f"the program did not end within {error.timeout:g} s"
        case subprocess.CalledProcessError():
            return f"the program ended with code {error.returncode}"
        case urllib.error.HTTPError():
            return f"the web address answered {error.code}; a redirect is not followed"
        case urllib.error.URLError():
            return f"the web address does not answer: {error.reason}"
        case smtplib.SMTPException():
            return f"the mail server refused: {error}"
        case OSError():
            return f"{type(error).__name__}: {error.strerror or error}"
        case _:
            return f"{type(error).__name__}: {error}"
