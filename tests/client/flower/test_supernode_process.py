from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import is_running, wait_until

PROGRAM = """
import os, sys, threading, time
from client.flower import supernode_process
from flwr.supernode import start_client_internal

def flower():
    threading.Thread(target=time.sleep, args=(600,)).start()
    open({place!r}, "w").write(f"{{os.getpid()}} {{sys.argv[1:]}}")
    assert start_client_internal.get_fused_config_from_fab(b"no zip", None) == {{}}
    {body}

supernode_process.flower_supernode = flower
{before}
supernode_process.main()
"""
NO_STANDBY = "supernode_process.NVIDIA = __import__('pathlib').Path('/')"  # as with a GPU
QUICK_STANDBY = "supernode_process.STANDBY_PAUSE_S = 0.1"
PARENT = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid()), sys.argv[2], "--x"])
time.sleep(600)
"""


def test_a_node_whose_loop_has_ended_does_not_stay_behind_its_own_threads(tmp_path: Path) -> None:
    place = tmp_path / "place"
    program = PROGRAM.format(place=str(place), body="return", before=NO_STANDBY)
    command = [sys.executable, "-c", program, str(os.getpid()), str(tmp_path / "p"), "--insecure"]
    done = subprocess.run(command, timeout=300, check=False)
    assert done.returncode == 75
    assert place.read_text().endswith("['--insecure']")


def test_a_node_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    place = tmp_path / "place"
    program = PROGRAM.format(place=str(place), body="time.sleep(600)", before=NO_STANDBY)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, program, str(tmp_path / "p")])
    wait_until(lambda: place.exists() and place.read_text().endswith("['--x']"), "the node")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    node = int(place.read_text().split()[0])
    wait_until(lambda: not is_running(node), "the node's end")


@pytest.mark.slow  # everything is imported twice
def test_the_process_on_standby_is_there_again_after_it_was_killed(tmp_path: Path) -> None:
    place, pipe = tmp_path / "place", tmp_path / "p"
    program = PROGRAM.format(place=str(place), body="time.sleep(600)", before=QUICK_STANDBY)
    node = subprocess.Popen([sys.executable, "-c", program, str(os.getpid()), str(pipe)])
    try:
        first = standby_of(node.pid, pipe)
        os.kill(first, signal.SIGKILL)
        pipe.unlink()
        second = standby_of(node.pid, pipe)
    finally:
        node.kill()
        node.wait()
    assert second != first
    wait_until(lambda: not is_running(second), "the end of the second on standby")


def standby_of(node: int, pipe: Path) -> int:
    """The node's process on standby, once it waits at its pipe."""
    wait_until(pipe.exists, "the pipe")
    threads = Path(f"/proc/{node}/task").glob("*/children")
    (child,) = [int(pid) for children in threads for pid in children.read_text().split()]
    return child
