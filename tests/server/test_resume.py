"""Runs that are cut off at random moments, and resumed: nothing is lost, nothing counts twice."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import CheckpointError, RunFolderError, RunStopped
from common.recipe.recipe import load_recipe
from server.events.history import read_run
from server.events.run_event import RunEvent
from server.events.schema import RoundStarted
from server.run.checkpoint import load_checkpoint
from server.run.run_folder import RunFolder
from server.simulate import lay_out, simulate
from tests.no_charts import without_charts
from tests.toy_sites import write_site

TINY = (
    "standardization.method=z-score",
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 16, 16]",
    "loss.site.name=none",
    "sampling.batch_size=1",
    "sampling.hard_negative_share=0.5",
    "federation.moving_average=0.5",
    "optimizer.steps=1",
    "federation.rounds=3",
    "federation.site_validation_share=0",
    "inference.threshold_from=fixed",
    "inference.overlap=0",
    "compute.threads=1",
)

pytestmark = pytest.mark.usefixtures("no_charts")
ROUNDS = [
    *(("statistics", 1), ("baseline", 1)),
    *(("training", i) for i in (1, 2, 3)),
    ("site-probe", 1),
]
KILL = """
import os, sys
from pathlib import Path
from server.run.run_folder import RunFolder
from server.simulate import simulate
n = 0
def listen(event):
    global n
    n += 1
    if n == int(sys.argv[2]):
        os._exit(137)
simulate(RunFolder(Path(sys.argv[1])), images=False, listener=listen)
"""


class Killed(BaseException):
    """Nothing in the product catches this: as after kill -9, no end is written down."""


class Moments:
    """Counts every event, and every file that is about to be whole; kills at the n-th."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.n = 0
        self.kill_at = kill_at

    def pass_one(self, _event: RunEvent | None = None) -> None:
        self.n += 1
        if self.n == self.kill_at:
            raise Killed


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> BIDS folder of two toy hospitals; not to be changed."""
    base = tmp_path_factory.mktemp("hospitals")
    return {
        name: write_site(base / name, name=name, seed=seed, label=name, n_subjects=1).parent
        / "bids"
        for seed, name in enumerate(("lyon", "ghent"))
    }


def new_run(path: Path, hospitals: dict[str, Path]) -> RunFolder:
    folder = RunFolder(path)
    lay_out(folder, load_recipe("default", overrides=TINY), sites=hospitals)
    return folder


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, moments: Moments) -> Iterator[None]:
    """Files pass through `moments` while the block runs."""
    sync = os.fsync

    def fsync(file: int) -> None:
        moments.pass_one()
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        yield


def executed(folder: RunFolder, monkeypatch: pytest.MonkeyPatch, moments: Moments) -> None:
    with watched(monkeypatch, moments):
        simulate(folder, images=False, listener=moments.pass_one)


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, hospitals: dict[str, Path]
) -> tuple[RunFolder, int]:
    """An uninterrupted run, and how many moments it has."""
    folder = new_run(tmp_path_factory.mktemp("runs") / "whole", hospitals)
    moments = Moments()
    with pytest.MonkeyPatch.context() as monkeypatch, without_charts():
        executed(folder, monkeypatch, moments)
    assert moments.n > 30
    return folder, moments.n


def events_of(folder: RunFolder, kind: str) -> list[dict[str, Any]]:
    lines = folder.events_file.read_text("utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == kind]


def require_as_if_never_cut(cut: RunFolder, whole: RunFolder) -> None:
    """The last parameters to the last bit, the model file, and each round counted once."""
    first, second = load_checkpoint(whole.checkpoints), load_checkpoint(cut.checkpoints)
    assert first is not None
    assert second is not None
    assert (first.phase, first.round_index) == (second.phase, second.round_index)
    assert first.parameters.keys() == second.parameters.keys()
    for name, array in first.parameters.items():
        assert array.tobytes() == second.parameters[name].tobytes(), name
    assert first.average.keys() == second.average.keys() == first.parameters.keys()
    for name, array in first.average.items():
        assert array.tobytes() == second.average[name].tobytes(), name
    record = read_run(cut.events_file)
    assert [(r.phase, r.index) for r in record.rounds.values()] == ROUNDS
    assert all(r.finished and len(r.replies) == 2 for r in record.rounds.values())
    assert record.finished is not None
    assert record.finished.status == "completed"


@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_twice_at_random_moments_ends_as_if_it_had_not_been(
    whole: tuple[RunFolder, int],
    hospitals: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    folder, n_moments = whole
    first, second = np.random.default_rng(seed).integers(1, n_moments, size=2, endpoint=True)
    cut = new_run(tmp_path / "cut", hospitals)
    with pytest.raises(Killed):
        executed(cut, monkeypatch, Moments(int(first)))
    try:
        executed(cut, monkeypatch, Moments(int(second)))
    except Killed:  # where more moments were left than the second time is allowed
        simulate(cut, images=False)
    require_as_if_never_cut(cut, folder)


def test_a_process_that_is_gone_at_once_loses_nothing(
    whole: tuple[RunFolder, int], hospitals: dict[str, Path], tmp_path: Path
) -> None:
    folder, _ = whole
    n_events = len(folder.events_file.read_text("utf-8").splitlines())
    cut = new_run(tmp_path / "cut", hospitals)
    moment = int(np.random.default_rng(5).integers(n_events // 2, n_events))
    killed = subprocess.run(
        [sys.executable, "-c", KILL, str(cut.path), str(moment)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
        timeout=600,
    )
    assert killed.returncode == 137, killed.stderr
    assert events_of(cut, "run-finished") == []
    simulate(cut, images=False)
    require_as_if_never_cut(cut, folder)


def cut_after(hospitals: dict[str, Path], path: Path, *, n_checkpoints: int) -> RunFolder:
    """A run that was killed right after so many checkpoints."""
    seen = Counter[str]()

    def listen(event: RunEvent) -> None:
        seen[event.event] += 1
        if seen["checkpoint"] == n_checkpoints:
            raise Killed

    folder = new_run(path, hospitals)
    with pytest.raises(Killed):
        simulate(folder, images=False, listener=listen)
    return folder


def test_a_damaged_checkpoint_is_reported_and_its_round_held_again_and_counted_once(
    whole: tuple[RunFolder, int], hospitals: dict[str, Path], tmp_path: Path
) -> None:
    # statistics, baseline, judged before training, round 1, round 2
    cut = cut_after(hospitals, tmp_path / "cut", n_checkpoints=5)
    newest = max(cut.checkpoints.glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-3])
    simulate(cut, images=False)
    assert [event["file"] for event in events_of(cut, "checkpoint-damaged")] == [newest.name]
    [resumed] = events_of(cut, "run-resumed")
    assert (resumed["phase"], resumed["round"]) == ("training", 1)
    held = [(e["phase"], e["round"]) for e in events_of(cut, "round-finished")]
    assert held.count(("training", 2)) == 2  # both are in the file
    require_as_if_never_cut(cut, whole[0])  # and one counts


def test_a_full_disk_ends_the_run_with_the_reason_and_it_continues_when_there_is_room(
    whole: tuple[RunFolder, int],
    hospitals: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut = new_run(tmp_path / "cut", hospitals)
    sync = os.fsync

    def full(file: int) -> None:
        if len(list(cut.checkpoints.glob("*.safetensors"))) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CheckpointError, match=r"could not be written: No space left on device"):
            simulate(cut, images=False)
    [ended] = events_of(cut, "run-finished")
    assert ended["status"] == "failed"
    assert "Free space there, then resume the run" in ended["reason"]
    names = sorted(path.name[:6] for path in cut.checkpoints.iterdir())
    assert names == ["000001", "000002"]  # whole, and nothing half-written beside them
    assert load_checkpoint(cut.checkpoints) is not None
    simulate(cut, images=False)
    require_as_if_never_cut(cut, whole[0])


def test_a_run_that_is_asked_to_stop_ends_stopped_and_continues_when_resumed(
    whole: tuple[RunFolder, int], hospitals: dict[str, Path], tmp_path: Path
) -> None:
    cut = new_run(tmp_path / "cut", hospitals)

    def listen(event: RunEvent) -> None:
        if isinstance(event, RoundStarted) and event.phase == "training":
            cut.stop_file.touch()

    with pytest.raises(RunStopped, match="asked the run to stop"):
        simulate(cut, images=False, listener=listen)
    [ended] = events_of(cut, "run-finished")
    assert ended["status"] == "stopped"
    simulate(cut, images=False)
    require_as_if_never_cut(cut, whole[0])


def test_two_processes_cannot_execute_one_run(hospitals: dict[str, Path], tmp_path: Path) -> None:
    folder = new_run(tmp_path / "run", hospitals)
    with folder.locked(), pytest.raises(RunFolderError, match="another process executes this run"):
        simulate(folder)
    assert not folder.events_file.exists()


def test_a_checkpoint_knows_where_every_site_stands(whole: tuple[RunFolder, int]) -> None:
    state = load_checkpoint(whole[0].checkpoints)
    assert state is not None
    assert {name: record.state for name, record in state.sites.items()} == {
        "lyon": "online",
        "ghent": "online",
    }
