from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from common.errors import ConfigError
from server.federation.federation_folder import FederationFolder
from server.flower import serve_lock
from server.flower.serve_lock import end_left_behind, is_served, note_children, serving
from tests.waiting import LIMIT_S, is_running


def test_two_servers_of_one_federation_cannot_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_lock, "TRIES_S", 0.05)
    folder = FederationFolder(tmp_path)
    assert not is_served(folder)
    with serving(folder):
        assert is_served(folder)
        with (
            pytest.raises(ConfigError, match="another `lesionfed serve` serves"),
            serving(folder),
        ):
            pass
    assert not is_served(folder)


def test_what_a_killed_server_left_behind_is_ended_and_nobody_else(tmp_path: Path) -> None:
    folder = FederationFolder(tmp_path)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    left, other = (subprocess.Popen(command) for _ in range(2))
    try:
        note_children(folder, {left.pid: command, other.pid: ["/usr/bin/flower-superlink", "--x"]})
        reaped = _reaped_in_background(left)
        end_left_behind(folder)
        reaped.join(LIMIT_S)
        assert left.returncode == -15
        assert other.poll() is None
    finally:
        for process in (left, other):
            process.kill()
            process.wait()


def test_a_worker_that_outlived_its_killed_master_is_ended(tmp_path: Path) -> None:
    folder = FederationFolder(tmp_path)
    master = "import os, time; os.fork() and os._exit(0); print(os.getpid(), flush=True); " + (
        "time.sleep(600)"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", master], stdout=subprocess.PIPE, process_group=0, text=True
    )
    assert started.stdout is not None
    worker = int(started.stdout.readline())
    started.wait(LIMIT_S)
    # the worker's own command line is another one, as nginx's is: it runs the same program
    note_children(folder, {started.pid: [sys.executable, "--master"]})
    end_left_behind(folder)
    assert started.stdout.read() == ""  # closed: the worker is gone
    assert not is_running(worker)
    started.stdout.close()


def test_a_damaged_note_ends_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "serve.json").write_text("[1, 2")
    end_left_behind(FederationFolder(tmp_path))
    assert "no process is ended because of it" in caplog.text


def _reaped_in_background(process: subprocess.Popen[bytes]) -> threading.Thread:
    thread = threading.Thread(target=process.wait)
    thread.start()
    return thread
