"""Keeps one SuperNode running for as long as the hospital takes part."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from threading import Event
from typing import BinaryIO, Literal

from client.flower.node_log import NodeEvent, NodeLog, rotate
from client.site.site_folder import SiteFolder
from common.errors import LesionFedError
from common.files import locked

log = logging.getLogger(__name__)

RESTART_DELAY_S = 60.0
"""After a crash: for 53 s the coordinator's server takes the old node for alive and refuses its
key (Flower's exit code 305)."""

FAILED_STARTS = 3
"""After so many in a row without a connection and without a reason from Flower, it gives up."""

UNKNOWN_KEY_STARTS = 10
"""How often a node that was connected before is restarted while its key is not known: a server
that came back with an empty database learns its members first."""

NodeEnd = Literal["asked", "signed-off", "crashed", "not-activated", "refused", "rejected"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Delays:
    """How long the supervisor waits, in seconds.

    after_crash   before a SuperNode that has not signed off is restarted
    after_end     before one that has signed off is restarted
    grace         for the processes to end by themselves before they are killed
    lost          without the coordinator's server until it is said
    poll          from one check of the log and the process to the next
    """

    after_crash: float = RESTART_DELAY_S
    after_end: float = 5.0
    grace: float = 20.0
    lost: float = 10.0
    poll: float = 0.5


class Supervisor:
    """Starts a site's SuperNode, says what it does, and restarts it when it ends.

    command       makes the command for each start: its ports must be free then
    environment   of the SuperNode and of all that it starts
    say           takes one line for the person who watches
    stop          set from outside (a signal) when everything is to end
    """

    def __init__(
        self,
        folder: SiteFolder,
        *,
        command: Callable[[], Sequence[str]],
        environment: Mapping[str, str],
        say: Callable[[str], None],
        stop: Event,
        delays: Delays | None = None,
    ) -> None:
        self._folder = folder
        self._command = command
        self._environment = dict(environment)
        self._say = say
        self._stop = stop
        self._delays = delays or Delays()
        self._log_file = folder.logs / "supernode.log"
        self._was_connected = False
        self._n_failed = 0

    def run(self) -> None:
        """Returns when it is asked to stop, or when the hospital has left the federation.

        LesionFedError where a restart would not help: the coordinator's server does not know
        the key, is not the one of the kit, or the program does not start at all; also where
        another `lesionfed-site run` holds the folder.
        """
        with self._alone():
            while not self._must_end():
                mark = self._folder.connected_file
                crashed_before = mark.exists()
                ended = self._run_once()
                delay_s = self._delay_after(ended, crashed_before=crashed_before)
                if ended != "crashed":
                    mark.unlink(missing_ok=True)
                if ended != "asked":
                    self._wait(delay_s)

    def _delay_after(self, ended: NodeEnd, *, crashed_before: bool) -> float:
        """Seconds until the next start; LesionFedError where there should be none."""
        delays = self._delays
        match ended:
            case "asked":
                return 0.0
            case "signed-off":
                self._say("the connection was ended; the node is restarted")
                return delays.after_end
            case "not-activated" if crashed_before:
                self._say(
                    "the coordinator's server still takes the crashed node for alive: "
                    f"trying again in {delays.after_crash:.0f} s"
                )
                return delays.after_crash
            case "not-activated" if self._was_connected and self._n_failed < UNKNOWN_KEY_STARTS:
                self._say(
                    "the coordinator's server does not know this site's key any more: trying "
                    f"again in {delays.after_crash:.0f} s"
                )
                return delays.after_crash
            case "crashed" if self._n_failed < FAILED_STARTS:
                self._say(
                    f"the node ended without signing off: restarted in {delays.after_crash:.0f} "
                    f"s. See the end of {self._log_file}"
                )
                return delays.after_crash
            case "refused" if self._was_connected:
                self._say(
                    "the connection was refused where it had worked before: trying again in "
                    f"{delays.after_crash:.0f} s. The reason is in {self._log_file}"
                )
                return delays.after_crash
        tail = f"The last lines of {self._log_file}:\n{NodeLog(self._log_file).tail()}"
        raise LesionFedError(f"{_ADVICE[ended]}\n{tail}")

    def _run_once(self) -> NodeEnd:
        """Starts the SuperNode and watches it to its end; everything it started is gone then."""
        self._folder.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        rotate(self._log_file)
        with self._log_file.open("ab") as sink:
            node_log = NodeLog(self._log_file)
            process = subprocess.Popen(  # noqa: S603 - our own command, without a shell
                list(self._command()),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=self._folder.path,
                env=self._environment,
                start_new_session=True,  # a group of its own: Ctrl-C reaches us alone
            )
        try:
            return self._watch(process, node_log)
        finally:
            self._end_all(process)

    def _watch(self, process: subprocess.Popen[bytes], node_log: NodeLog) -> NodeEnd:
        shown = _ShownEvents(self._say, lost_s=self._delays.lost)
        asked = False
        while process.poll() is None and not asked:
            self._follow(node_log, shown)
            asked = self._must_end()
            if not asked:
                self._stop.wait(self._delays.poll)
        if asked:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(self._delays.grace)
        self._follow(node_log, shown)
        how = _node_end(process.poll(), node_log.exit_code, shown, asked=asked)
        log.info("SuperNode ended", extra={"how": how, "exit_code": node_log.exit_code})
        self._n_failed = 0 if shown.connected else self._n_failed + 1
        return how

    def _follow(self, node_log: NodeLog, shown: _ShownEvents) -> None:
        for event in node_log.events():
            shown.add(event)
        shown.say_if_lost()
        self._was_connected |= shown.connected
        if shown.connected and not self._folder.connected_file.exists():
            self._folder.connected_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.connected_file.touch()

    def _end_all(self, process: subprocess.Popen[bytes]) -> None:
        """Ends what is left of the SuperNode's group, first by request, then by force."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            end = time.monotonic() + self._delays.grace
            while time.monotonic() < end:
                if process.poll() is not None and not _group_lives(process.pid):
                    return
                time.sleep(0.05)

    def _must_end(self) -> bool:
        return self._stop.is_set() or self._folder.left_file.exists()

    def _wait(self, wait_s: float) -> None:
        """Waits, but no longer than until it is asked to stop."""
        end = time.monotonic() + wait_s
        while not self._must_end() and (left_s := end - time.monotonic()) > 0:
            self._stop.wait(min(left_s, self._delays.poll))

    def _alone(self) -> AbstractContextManager[BinaryIO]:
        """Holds the folder against a second supervisor, which would take the node's place."""
        self._folder.flwr_home.mkdir(mode=0o700, parents=True, exist_ok=True)
        busy = LesionFedError(
            f"{self._folder.path}: another `lesionfed-site run` runs in this folder. "
            "Stop that one first.",
            code="busy",
        )
        return locked(self._folder.flwr_home / "run.lock", busy=busy)


class _ShownEvents:
    """Turns the log's events into lines for the person who watches, each shown once."""

    def __init__(self, say: Callable[[str], None], *, lost_s: float) -> None:
        self.connected = False
        self.not_activated = False
        self._say = say
        self._lost_s = lost_s
        self._lost_at: float | None = None
        self._lost_shown = False

    def add(self, event: NodeEvent) -> None:
        match event:
            case "connected":
                self.connected = True
                self._say("connected")
            case "lost" if self._lost_at is None:
                self._lost_at = time.monotonic()
            case "reconnected":
                if self._lost_shown:
                    self._say("connected again")
                self._lost_at, self._lost_shown = None, False
            case "work-began":
                self._say("work begins")
            case "work-ended":
                self._say("work ends, the reply is sent")
            case "not-activated":
                self.not_activated = True

    def say_if_lost(self) -> None:
        """Says it once, when the server has been out of reach for a while."""
        if self._lost_at is None or self._lost_shown:
            return
        if time.monotonic() - self._lost_at >= self._lost_s:
            self._say("the coordinator's server is out of reach; the node keeps trying")
            self._lost_shown = True


def _node_end(
    return_code: int | None, exit_code: int | None, shown: _ShownEvents, *, asked: bool
) -> NodeEnd:
    if asked:
        return "asked"
    if return_code == 0:
        return "signed-off" if shown.connected else "rejected"
    if shown.connected or exit_code is None:
        return "crashed"
    return "not-activated" if shown.not_activated else "refused"


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


_ADVICE: dict[NodeEnd, str] = {
    "not-activated": (
        "the coordinator's server does not know this site's key. Ask the coordinator whether the "
        "site is enrolled, suspended or removed (lesionfed sites list). Where the node was cut off "
        "a moment ago, it is still taken for alive: try again after a minute."
    ),
    "rejected": (
        "the coordinator's server did not accept this site's signature. Compare this machine's "
        "clock with the right time (5 s ahead or 5 min behind are too much), then ask the "
        "coordinator which key is enrolled."
    ),
    "refused": (
        "the connection to the coordinator's server could not be begun. Run lesionfed-site "
        "preflight: it names the step that fails (name, network, certificate, key)."
    ),
    "crashed": (
        f"the node ended {FAILED_STARTS} times in a row before it was connected. Run "
        "lesionfed-site preflight, and report the lines below if it finds nothing."
    ),
}
