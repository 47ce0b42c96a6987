from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = """
import os, sys, threading, time
from client.node import supernode_process
from flwr.supernode import start_client_internal

def flower():
    threading.Thread(target=time.sleep, args=(600,)).start()
    open({place!r}, "w").write(f"{{os.getpid()}} {{sys.argv[1:]}}")
    assert start_client_internal.get_fused_config_from_fab(b"no zip", None) == {{}}
    {body}

supernode_process.flower_supernode = flower
supernode_process.main()
"""
PARENT = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid()), "--x"])
time.sleep(600)
"""


def test_a_node_whose_loop_has_ended_does_not_stay_behind_its_own_threads(tmp_path: Path) -> None:
    place = tmp_path / "place"
    program = PROGRAM.format(place=str(place), body="return")
    command = [sys.executable, "-c", program, str(os.getpid()), "--insecure"]
    done = subprocess.run(command, timeout=60, check=False)
    assert done.returncode == 75
    assert place.read_text().endswith("['--insecure']")


def test_a_node_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    place = tmp_path / "place"
    program = PROGRAM.format(place=str(place), body="time.sleep(600)")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, program])
    end = time.monotonic() + 60
    while not (place.exists() and place.read_text().endswith("['--x']")):
        assert time.monotonic() < end
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    node = int(place.read_text().split()[0])
    while Path(f"/proc/{node}").exists():
        if Path(f"/proc/{node}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break  # nobody clears it away here
        assert time.monotonic() < end
        time.sleep(0.05)
