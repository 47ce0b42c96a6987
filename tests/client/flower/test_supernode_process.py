from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
    done = subprocess.run(command, timeout=60, check=False)
    assert done.returncode == 75
    assert place.read_text().endswith("['--insecure']")


def test_a_node_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    place = tmp_path / "place"
    program = PROGRAM.format(place=str(place), body="time.sleep(600)", before=NO_STANDBY)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, program, str(tmp_path / "p")])
    end = time.monotonic() + 60
    while not (place.exists() and place.read_text().endswith("['--x']")):
        assert time.monotonic() < end
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    node = int(place.read_text().split()[0])
    await_end(node, until=end)


@pytest.mark.slow  # everything is imported twice
def test_the_process_on_standby_is_there_again_after_it_was_killed(tmp_path: Path) -> None:
    place, pipe = tmp_path / "place", tmp_path / "p"
    program = PROGRAM.format(place=str(place), body="time.sleep(600)", before=QUICK_STANDBY)
    end = time.monotonic() + 120
    node = subprocess.Popen([sys.executable, "-c", program, str(os.getpid()), str(pipe)])
    try:
        first = standby_of(node.pid, pipe, until=end)
        os.kill(first, signal.SIGKILL)
        pipe.unlink()
        second = standby_of(node.pid, pipe, until=end)
    finally:
        node.kill()
        node.wait()
    assert second != first
    await_end(second, until=end)


def standby_of(node: int, pipe: Path, *, until: float) -> int:
    """The node's process on standby, once it waits at its pipe."""
    while not pipe.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    threads = Path(f"/proc/{node}/task").glob("*/children")
    (child,) = [int(pid) for children in threads for pid in children.read_text().split()]
    return child


def await_end(pid: int, *, until: float) -> None:
    """Returns once the process has ended, whether or not anybody clears it away."""
    while Path(f"/proc/{pid}").exists():
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break
        assert time.monotonic() < until
        time.sleep(0.05)
