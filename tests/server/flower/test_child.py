from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from server.flower.child import Child
from tests.waiting import is_running, wait_until

SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
BRIEF = [sys.executable, "-c", "print('no such option'); raise SystemExit(3)"]


def made(folder: Path, command: list[str]) -> Child:
    return Child("program", command, environment=os.environ, logs=folder)


def test_a_program_says_into_its_log_and_ends_when_asked(tmp_path: Path) -> None:
    child = made(tmp_path, SLEEP)
    child.start()
    wait_until(lambda: child.last_lines == "here", "its word")
    assert child.is_alive
    child.end()
    assert not child.is_alive
    assert child.pid is None
    wait_until(lambda: (tmp_path / "program.log").read_text() == "here\n", "its word in the log")


def test_a_program_that_died_starts_again_after_the_delay_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("server.flower.child.time.monotonic", lambda: now[0])
    child = made(tmp_path, BRIEF)
    child.start()
    wait_until(lambda: not child.is_alive, "its end")
    starts = []
    for at in (1000.0, 1001.9, 1002.0):  # its end is seen at 1000, and the delay is 2 s
        now[0] = at
        starts.append(child.restart_if_ended())
    assert starts == [False, False, True]
    wait_until(lambda: not child.is_alive, "its second end")
    starts = []
    for at in (1002.0, 1005.9, 1006.0):  # it lived less than 60 s: 2 * 2 s
        now[0] = at
        starts.append(child.restart_if_ended())
    assert starts == [False, False, True]
    assert child.n_starts == 3
    child.end()


MASTER = """
import subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(worker.pid, flush=True)
time.sleep(600)
"""


def test_what_a_killed_program_left_behind_is_ended_before_it_starts_again(tmp_path: Path) -> None:
    child = made(tmp_path, [sys.executable, "-c", MASTER])
    child.start()
    wait_until(lambda: child.last_lines != "", "its worker's number")
    worker, master = int(child.last_lines), child.pid
    assert master is not None
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: not child.is_alive, "the master's end")
    assert is_running(worker)  # it outlives its master, as nginx's do
    child.start()
    wait_until(lambda: not is_running(worker), "the worker's end")
    child.end()
