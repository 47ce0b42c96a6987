"""A whole run whose watcher goes: its terminal closes, or what its output goes to ends."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from server.events.history import read_run
from server.run.run_folder import RunFolder
from tests.toy_sites import write_site
from tests.waiting import wait_until

TINY = (
    "standardization.method=z-score",
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 16, 16]",
    "loss.site.name=none",
    "sampling.batch_size=1",
    "optimizer.steps=1",
    "federation.site_validation_share=0",
    "inference.threshold_from=fixed",
    "inference.overlap=0",
    "compute.threads=1",
)

pytestmark = pytest.mark.slow


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """A run of two rounds over two toy sites, into `run`."""
    words = ["--rounds", "2", "--no-images", "--out", str(tmp_path / "run")]
    for seed, name in enumerate(("lyon", "ghent")):
        site = write_site(tmp_path / name, name=name, seed=seed, label=name, n_subjects=1)
        words += ["--site", f"{name}={site.parent / 'bids'}"]
    for change in TINY:
        words += ["--set", change]
    code = "import sys, lesionfed; sys.exit(lesionfed.coordinator())"
    return [sys.executable, "-c", code, "simulate", *words]


def trains(run: RunFolder) -> bool:
    return run.events_file.exists() and b'"phase": "training"' in run.events_file.read_bytes()


def end_of(run: RunFolder) -> tuple[str, str | None]:
    finished = read_run(run.events_file).finished
    assert finished is not None
    return finished.status, finished.reason


def test_a_run_goes_on_when_what_reads_its_output_has_ended(
    command: list[str], tmp_path: Path
) -> None:
    """As behind `2>&1 | head -1`."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(300) == 0
    assert end_of(RunFolder(tmp_path / "run")) == ("completed", None)


def test_a_run_goes_on_when_its_terminal_is_gone(command: list[str], tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs)
    os.close(theirs)
    run = RunFolder(tmp_path / "run")
    reader = threading.Thread(target=read_until_gone, args=(ours, run), daemon=True)
    reader.start()
    reader.join(300)
    os.close(ours)
    assert process.wait(300) == 0
    assert end_of(run) == ("completed", None)


def read_until_gone(terminal: int, run: RunFolder) -> None:
    """Reads what the terminal shows, as long as the run has not begun to train."""
    while not trains(run):
        os.read(terminal, 4096)


def test_a_run_whose_terminal_hangs_up_is_stopped_and_can_be_resumed(
    command: list[str], tmp_path: Path
) -> None:
    process = subprocess.Popen([*command, "--quiet"], stdout=subprocess.DEVNULL)
    run = RunFolder(tmp_path / "run")
    wait_until(lambda: trains(run), "the first training round")
    process.send_signal(signal.SIGHUP)
    assert process.wait(120) == 130  # as after Ctrl-C
    assert end_of(run) == ("stopped", "interrupted at the coordinator")
    again = subprocess.run([*command[:4], "--resume", str(run.path), "--quiet"], check=False)
    assert again.returncode == 0
    assert end_of(run) == ("completed", None)
