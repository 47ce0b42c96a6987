from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.federation import processes
from tests.federation.processes import Service, stop_all, wait_beside
from tests.waiting import LIMIT_S

CHILD = "import time; time.sleep(600)"
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}])
print(child.pid, flush=True)
time.sleep(600)
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + PARENT.strip()


@contextmanager
def started(folder: Path, program: str) -> Iterator[tuple[Service, int]]:
    """A running program that has started a child, with the child's process id."""
    log = folder / "program.log"
    service = Service(
        [sys.executable, "-c", program], log=log, folder=folder, environment=os.environ
    )
    try:
        wait_beside([service], lambda: log.read_text().endswith("\n"), "the child's number")
        yield service, int(log.read_text())
    finally:
        service.send(signal.SIGKILL)
        service.group_ends_within(LIMIT_S)


def test_stopping_a_program_ends_what_it_started(tmp_path: Path) -> None:
    with started(tmp_path, PARENT) as (service, child):
        stop_all([service])
        assert service.exit_code() == -signal.SIGTERM
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_a_program_deaf_to_the_request_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_S", 0.5)
    with started(tmp_path, DEAF) as (service, child):
        stop_all([service])
        assert service.exit_code() == -signal.SIGKILL
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_stopping_a_program_that_has_ended_is_no_error(tmp_path: Path) -> None:
    service = Service(
        [sys.executable, "-c", "print('done'); raise SystemExit(3)"],
        log=tmp_path / "brief.log",
        folder=tmp_path,
        environment=os.environ,
    )
    assert service.group_ends_within(LIMIT_S)
    stop_all([service])
    assert service.log_tail() == "--- brief (exit code 3)\ndone"
