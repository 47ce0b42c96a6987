from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from threading import Event, Thread

import pytest

from client.flower import node_log
from client.flower.supernode import UNKNOWN_KEY_STARTS, Delays, Supervisor
from client.site.site_folder import SiteFolder
from common.errors import LesionFedError
from tests.waiting import LIMIT_S, is_running, wait_until

QUICK = Delays(after_crash=0.4, after_end=0.0, grace=5.0, lost=0.0, poll=0.02)
WORKS = "print('INFO : SuperNode ID: 7'); work()"
SIGNS_OFF = "print('INFO : SuperNode ID: 7')"
CRASHES = "print('INFO : SuperNode ID: 7'); os.kill(os.getpid(), 9)"
STARTS_NOT = "sys.exit(3)"
REFUSED = "print('Exit Code: 305\\ncertificate verify failed'); sys.exit(1)"
NOT_ACTIVATED = "print('Exit Code: 305\\n[code: 7] Failed to activate SuperNode.'); sys.exit(1)"
REJECTED = "print('SuperNode terminated gracefully.')"
HAS_CHILD = """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("child", "w").write(str(child.pid)); work()
"""
PROGRAM = """
import os, signal, subprocess, sys, time
sys.stdout.reconfigure(line_buffering=True)
open("starts", "a").write(f"{time.monotonic()}\\n")
def work():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    time.sleep(600)
"""


class Watched:
    """A supervisor of stand-in SuperNodes: each start is given the next program of the list.

    waits_s    what it waited from one life's end to the next start
    stop_at    it is stopped when it tells a line with these words
    touch_at   the file `told` is there for its programs after a line with these words
    """

    def __init__(self, path: Path, programs: list[str], *, delays: Delays = QUICK) -> None:
        self.folder = SiteFolder(path)
        self.told: list[str] = []
        self.waits_s: list[float] = []
        self.stop = Event()
        left = iter(programs)
        self.supervisor = Supervisor(
            self.folder,
            command=lambda: [sys.executable, "-c", PROGRAM + next(left)],
            environment=os.environ,
            say=self._say,
            stop=self.stop,
            delays=delays,
        )
        self.stop_at: str | None = None
        self.touch_at: str | None = None
        self._wait = self.supervisor._wait
        self.supervisor._wait = self._waited  # type: ignore[method-assign] # to be looked at

    def run_in_thread(self) -> Thread:
        """The running supervisor, until it is asked to stop."""
        thread = Thread(target=self.supervisor.run)
        thread.start()
        return thread

    def await_told(self, line: str, n_times: int = 1) -> None:
        """Returns once the line was told so often."""
        wait_until(
            lambda: self.told.count(line) >= n_times, lambda: f"{line} x {n_times}: {self.told}"
        )

    def _waited(self, wait_s: float) -> None:
        self.waits_s.append(wait_s)
        self._wait(wait_s)

    def _say(self, line: str) -> None:
        self.told.append(line)
        if self.stop_at is not None and self.stop_at in line:
            self.stop.set()
        if self.touch_at is not None and self.touch_at in line:
            (self.folder.path / "told").touch()

    def starts(self) -> list[float]:
        return [float(line) for line in (self.folder.path / "starts").read_text().split()]


def test_a_crashed_node_is_started_again_after_the_delay_and_not_before(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [CRASHES, NOT_ACTIVATED, SIGNS_OFF, WORKS])
    thread = watched.run_in_thread()
    watched.await_told("connected", 3)
    watched.stop.set()
    thread.join(LIMIT_S)
    crash, not_activated, signed_off, working = watched.starts()
    assert not_activated - crash >= 0.4  # after the crash
    assert signed_off - not_activated >= 0.4  # the server still took the crashed node for alive
    assert working > signed_off
    assert watched.waits_s == [0.4, 0.4, 0.0]  # the last had signed off
    assert "ended without signing off" in watched.told[1]
    assert "still takes the crashed node for alive" in watched.told[2]
    assert not watched.folder.connected_file.exists()


def test_a_crash_is_remembered_by_the_next_supervisor(tmp_path: Path) -> None:
    first = Watched(tmp_path, [CRASHES])
    first.stop_at = "without signing off"
    first.supervisor.run()
    second = Watched(tmp_path, [NOT_ACTIVATED])
    second.stop_at = "still takes the crashed node for alive"
    second.supervisor.run()
    assert second.stop.is_set()


@pytest.mark.parametrize(
    ("programs", "words"),
    [
        ([NOT_ACTIVATED], "does not know this site's key"),
        ([REJECTED], "did not accept this site's signature.*5 s ahead"),
        ([REFUSED], "could not be begun(.|\n)*certificate verify failed"),
        ([STARTS_NOT, STARTS_NOT, STARTS_NOT], "ended 3 times in a row"),
        ([SIGNS_OFF, *[NOT_ACTIVATED] * UNKNOWN_KEY_STARTS], "does not know this site's key"),
    ],
)
def test_it_ends_with_words_where_another_start_would_not_help(
    tmp_path: Path, programs: list[str], words: str
) -> None:
    watched = Watched(tmp_path, programs)
    with pytest.raises(LesionFedError, match=words):
        watched.supervisor.run()
    assert len(watched.starts()) == len(programs)


def test_a_node_waits_for_a_server_that_has_forgotten_its_key(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [SIGNS_OFF, NOT_ACTIVATED, WORKS])
    thread = watched.run_in_thread()
    watched.await_told("connected", 2)
    watched.stop.set()
    thread.join(LIMIT_S)
    _, forgotten, working = watched.starts()
    assert working - forgotten >= 0.4
    assert "does not know this site's key any more" in watched.told[2]


def test_a_refusal_after_it_has_worked_is_tried_again(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [SIGNS_OFF, REFUSED, REFUSED])
    told = iter(range(2))

    def say(line: str) -> None:
        if "refused where it had worked" in line and next(told) == 1:
            watched.stop.set()

    watched.supervisor._say = say
    watched.supervisor.run()
    assert len(watched.starts()) == 3


def test_stopping_ends_all_that_the_node_has_started(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [HAS_CHILD])
    thread = watched.run_in_thread()
    child = tmp_path / "child"
    wait_until(lambda: child.exists() and child.read_text() != "", "the child")
    watched.stop.set()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    wait_until(lambda: not is_running(int(child.read_text())), "the child's end")


def test_a_node_that_is_deaf_to_the_request_is_killed(tmp_path: Path) -> None:
    deaf = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('SuperNode ID: 7'); time.sleep(600)"
    )
    delays = Delays(after_crash=0, after_end=0, grace=0.3, lost=0, poll=0.02)
    watched = Watched(tmp_path, [deaf], delays=delays)
    watched.stop_at = "connected"
    started = time.monotonic()
    watched.supervisor.run()
    assert time.monotonic() - started < 300  # it would live for 600


def test_a_hospital_that_leaves_ends_its_node(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [WORKS])
    thread = watched.run_in_thread()
    watched.await_told("connected")
    watched.folder.left_file.touch()
    thread.join(LIMIT_S)
    assert not thread.is_alive()


def test_what_the_node_does_is_reported_in_a_line_each(tmp_path: Path) -> None:
    lines = (
        "SuperNode ID: 7",
        "Connection attempt failed, retrying in 1.00 seconds",
        "Connection attempt failed, retrying in 2.00 seconds",
    )
    later = ("Connection successful after 3.00", "Received successfully", "Sent successfully")
    program = f"""
print(*{lines!r}, sep="\\n")
while not os.path.exists("told"):
    time.sleep(0.02)
print(*{later!r}, sep="\\n")
work()
"""
    watched = Watched(tmp_path, [program])
    watched.touch_at = "out of reach"
    watched.stop_at = "work ends"
    watched.supervisor.run()
    assert watched.told == [
        "connected",
        "the coordinator's server is out of reach; the node keeps trying",
        "connected again",
        "work begins",
        "work ends, the reply is sent",
    ]


def test_the_log_of_a_node_that_stays_up_is_turned_over_and_written_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_log, "KEEP_BYTES", 1000)
    program = """
print("INFO : SuperNode ID: 7")
for number in range(60):
    print(f"line {number:02}".ljust(99))
    time.sleep(0.02)
subprocess.run(["echo", "of a child: Sent successfully"])
work()
"""
    watched = Watched(tmp_path, [program])
    watched.stop_at = "work ends"
    watched.supervisor.run()
    logs = sorted(watched.folder.logs.iterdir(), reverse=True)
    assert [file.name for file in logs[-2:]] == ["supernode.log.1", "supernode.log"]
    lines = "".join(file.read_text("utf-8") for file in logs).splitlines()
    assert lines[-1] == "of a child: Sent successfully"
    assert [line.split()[1] for line in lines[-11:-1]] == [str(n) for n in range(50, 60)]
    assert logs[-1].stat().st_size < 1000
    assert watched.told == ["connected", "work ends, the reply is sent"]


def test_two_supervisors_do_not_share_a_folder(tmp_path: Path) -> None:
    watched = Watched(tmp_path, [WORKS])
    thread = watched.run_in_thread()
    watched.await_told("connected")
    try:
        with pytest.raises(LesionFedError, match="another `lesionfed-site run` runs"):
            Watched(tmp_path, []).supervisor.run()
    finally:
        watched.stop.set()
        thread.join(LIMIT_S)
