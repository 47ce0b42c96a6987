"""Whoever reads a command's output may go at any moment; the work goes on."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, time
from pathlib import Path
import typer
from common.cli.run import run

app = typer.Typer()

@app.command()
def work(done: Path) -> None:
    from rich.console import Console
    print("begun", flush=True)
    sys.stdin.readline()
    for i in range(2000):
        print("line", i)
        typer.echo("progress", err=True)
        Console(stderr=True).print(i)
    if sys.stdout is not None:
        sys.stdout.flush()
    done.write_text("done")

sys.exit(run(app, None, name="work"))
"""


def started(done: Path, *, stdout: int, stderr: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(done)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, text=True)


def test_a_reader_that_goes_does_not_end_the_work(tmp_path: Path) -> None:
    """As `| head` does."""
    done = tmp_path / "done"
    process = started(done, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    process.stderr.close()
    process.stdin.write("go\n")
    process.stdin.close()
    assert process.wait(60) == 0
    assert done.read_text() == "done"


def test_a_terminal_that_is_gone_does_not_end_the_work(tmp_path: Path) -> None:
    done = tmp_path / "done"
    ours, theirs = pty.openpty()
    process = started(done, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.read(ours, 5)
    os.close(ours)
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.close()
    assert process.wait(60) == 0
    assert done.read_text() == "done"


def test_output_that_a_full_disk_has_not_taken_is_no_success(tmp_path: Path) -> None:
    done = tmp_path / "done"
    with open("/dev/full", "w") as full:
        process = started(done, stdout=full.fileno(), stderr=subprocess.PIPE)
        _, said = process.communicate("go\n", timeout=60)
    assert process.returncode == 1
    assert done.read_text() == "done"
    assert "what was printed is lost: No space left on device. Free space there." in said


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_streams_that_were_never_open_are_no_fault(tmp_path: Path, closed: str) -> None:
    done = tmp_path / "done"
    command = ["sh", "-c", f'"$0" -c "$1" "$2" {closed}', sys.executable, PROGRAM, str(done)]
    assert subprocess.run(command, input=b"go\n", timeout=60, check=False).returncode == 0
    assert done.read_text() == "done"
