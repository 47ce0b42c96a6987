"""The coordinator's machine goes down in a run and comes up again; or its disk is full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from server.run.checkpoint import load_checkpoint
from server.run.run_folder import RunFolder
from tests.hosts.consortium import HostedConsortium, events_of
from tests.hosts.history import require_each_round_once
from tests.hosts.namespaces import why_not

pytestmark = [
    pytest.mark.federation,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

RUN_S = 900.0
DISK = "64m"
LEFT_BYTES = 64 << 10
"""Left on a full disk: the log's lines fit, a checkpoint of 240 kB does not."""


@pytest.mark.parametrize("database", ["kept", "lost"])
def test_a_run_continues_after_the_coordinator_was_away(tmp_path: Path, database: str) -> None:
    with HostedConsortium(tmp_path) as consortium:
        run = consortium.run("away")
        await_checkpoint(consortium, run, "training", 1)
        consortium.kill_coordinator()
        files = list(consortium.federation.path.glob("state.db*"))
        assert files
        if database == "lost":
            for file in files:
                file.unlink()
        consortium.await_that(  # the system takes a moment to clear away what was killed
            lambda: consortium.status("away").status == "interrupted", what="cut", timeout_s=120
        )
        consortium.start_coordinator()
        finished = consortium.finish("away", timeout_s=RUN_S)
    assert (finished.status, finished.n_resumes) == ("completed", 1)
    require_each_round_once(run)


def test_a_full_disk_ends_the_run_with_its_reason_and_costs_no_checkpoint(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, HostedConsortium(tmp_path) as consortium:
        consortium.federation.runs.rmdir()
        consortium.federation.runs.symlink_to(disk)
        run = consortium.run("full")
        await_checkpoint(consortium, run, "training", 1)
        filler = fill(disk)
        consortium.await_that(
            lambda: consortium.status("full").status == "failed", what="failure", timeout_s=RUN_S
        )
        reason = consortium.status("full").reason
        assert reason is not None
        assert "could not be written: No space left on device. Free space there" in reason
        state = load_checkpoint(run.checkpoints)
        assert state is not None
        assert (state.phase, state.round_index) == ("training", 1)
        filler.unlink()
        finished = consortium.finish("full", timeout_s=RUN_S)
        assert (finished.status, finished.n_resumes) == ("completed", 1)
        require_each_round_once(run)


def await_checkpoint(
    consortium: HostedConsortium, run: RunFolder, phase: str, round_index: int
) -> None:
    """Returns once the state after that round is on disk."""

    def saved() -> bool:
        wanted = ("checkpoint", phase, round_index)
        return any((e["event"], e.get("phase"), e.get("round")) == wanted for e in events_of(run))

    consortium.await_that(saved, what=f"{phase} {round_index}", timeout_s=RUN_S)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own for the folder."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "lesionfed-test", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # whoever has it open


def fill(disk: Path) -> Path:
    """The file that takes all of the disk but LEFT_BYTES."""
    filler = disk / "filler"
    found = os.statvfs(disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - LEFT_BYTES)
    return filler
