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


TELL = """
import sys
from pathlib import Path
word, file = sys.argv[1:3]
line = Path("/proc/self/cmdline").read_text()
Path(sys.argv[3]).write_text(f"{word} {Path(file).read_text()} {'sec' + 'ret' in line}")
"""


def test_a_token_reaches_the_program_and_stands_on_no_command_line(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = [sys.executable, "-c", TELL, "--token", "secret", str(told)]
    assert programs.start_with_hidden_token(program).wait(LIMIT_S) == 0
    assert told.read_text() == "--token-file secret False"


def test_a_token_reaches_a_program_behind_a_shell_script(tmp_path: Path) -> None:
    told, script = tmp_path / "told", tmp_path / "flwr-clientapp"
    (tmp_path / "tell.py").write_text(TELL)
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path / "tell.py"} "$@"\n')
    script.chmod(0o700)
    command = [str(script), "--token", "secret", str(told)]
    assert programs.start_with_hidden_token(command).wait(LIMIT_S) == 0
    assert told.read_text() == "--token-file secret False"
