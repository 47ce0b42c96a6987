from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from common import programs
from tests.waiting import LIMIT_S, is_running, wait_until

PARENT = """
import subprocess, sys, time
from common.programs import with_parent
program = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"]
child = subprocess.Popen(with_parent(program), stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_program_ends_with_the_process_that_started_it() -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert started.stdout is not None
    with started.stdout as said:
        pid = int(said.readline())
        os.kill(pid, 0)
        started.send_signal(signal.SIGKILL)
        started.wait(LIMIT_S)
    wait_until(lambda: not is_running(pid), "the program's end")


def test_nothing_is_started_for_a_parent_that_is_gone() -> None:
    program = [sys.executable, "-c", "print('started')"]
    command = [sys.executable, "-I", "-S", programs.__file__, "1", *program]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
