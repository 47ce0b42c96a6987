from __future__ import annotations

import dataclasses
import errno
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import CheckpointError
from server.aggregation.site_weight import Declared
from server.run.checkpoint import load_checkpoint, save_checkpoint
from server.run.run_state import RunState, Selected
from server.run.site_state import SiteRecord


def state(round_index: int) -> RunState:
    return RunState(
        phase="training",
        round_index=round_index,
        judged=True,
        template={"FLAIR": (0.25, 0.875, 1.25)},
        baseline_threshold=2.3,
        selected=Selected(round_index=1, by="the last round", score=None),
        parameters={
            "network.w": np.array([[1.5, -2.0]], np.float32),
            "network.n": np.array(round_index, np.int64),
        },
    )


def test_a_state_comes_back_whole(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(4))
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.selected == Selected(round_index=1, by="the last round", score=None)
    assert loaded.template == {"FLAIR": (0.25, 0.875, 1.25)}
    assert (loaded.phase, loaded.round_index, loaded.judged) == ("training", 4, True)
    assert loaded.parameters["network.w"].dtype == np.float32
    np.testing.assert_array_equal(loaded.parameters["network.w"], [[1.5, -2.0]])
    assert loaded.parameters["network.n"] == 4


def test_the_moving_average_comes_back_beside_the_parameters(tmp_path: Path) -> None:
    average = {"network.w": np.array([[0.5, 3.0]], np.float32)}
    save_checkpoint(tmp_path, dataclasses.replace(state(4), average=average))
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert set(loaded.parameters) == {"network.w", "network.n"}
    np.testing.assert_array_equal(loaded.average["network.w"], [[0.5, 3.0]])
    assert loaded.judged_parameters is loaded.average


def test_a_state_before_training_comes_back(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, RunState(phase="statistics", round_index=1))
    assert load_checkpoint(tmp_path) == RunState(phase="statistics", round_index=1)


def test_without_a_checkpoint_there_is_no_state(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for round_index in range(12):
        save_checkpoint(tmp_path, state(round_index))
    names = sorted(path.name[:6] for path in tmp_path.iterdir())
    assert names == ["000011", "000012"]


def damaged(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut off":
        path.write_bytes(content[:-1])
    elif how == "one bit turned":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        path.write_bytes(b"")


@pytest.mark.parametrize("how", ["cut off", "one bit turned", "empty"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    save_checkpoint(tmp_path, state(1))
    damaged(save_checkpoint(tmp_path, state(2)), how)
    with caplog.at_level(logging.WARNING):
        loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.round_index == 1
    assert "does not match the digest in its name" in caplog.text


def test_with_all_damaged_the_folder_is_named(tmp_path: Path) -> None:
    damaged(save_checkpoint(tmp_path, state(1)), "cut off")
    with pytest.raises(CheckpointError, match="none of the 1 checkpoints there is whole"):
        load_checkpoint(tmp_path)


def test_a_file_half_written_is_no_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(1))
    (tmp_path / f".000002-{'0' * 64}.safetensors.abcd.partial").write_bytes(b"half")
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.round_index == 1


def test_a_caller_learns_which_checkpoints_are_damaged(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, state(1))
    newest = save_checkpoint(tmp_path, state(2))
    damaged(newest, "one bit turned")
    told: list[Path] = []
    load_checkpoint(tmp_path, on_damaged=told.append)
    assert told == [newest]


def test_a_newest_file_that_the_disk_does_not_give_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, state(1))
    newest = save_checkpoint(tmp_path, state(2))
    read = Path.read_bytes

    def failing(path: Path) -> bytes:
        if path == newest:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", failing)
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.round_index == 1


def test_a_damaged_file_takes_no_place_of_a_whole_one_and_the_newest_is_kept(
    tmp_path: Path,
) -> None:
    for _ in range(2):
        good = save_checkpoint(tmp_path, state(1))
        newest = save_checkpoint(tmp_path, state(2))
        damaged(newest, "cut off")
        load_checkpoint(tmp_path)
    assert {path.name for path in tmp_path.glob("*.damaged")} == {f"{newest.name}.damaged"}
    save_checkpoint(tmp_path, state(3))
    assert good.exists()


def test_where_all_are_damaged_they_stay_and_the_run_does_not_begin_again(tmp_path: Path) -> None:
    damaged(save_checkpoint(tmp_path, state(1)), "cut off")
    for _ in range(2):
        with pytest.raises(CheckpointError, match="none of the 1 checkpoints"):
            load_checkpoint(tmp_path)


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    whole = save_checkpoint(tmp_path, state(1))
    (tmp_path / f".000002-{'0' * 64}.safetensors.abcd.partial").write_bytes(b"half")
    load_checkpoint(tmp_path)
    assert list(tmp_path.iterdir()) == [whole]


def test_where_every_site_stands_comes_back(tmp_path: Path) -> None:
    sites = {"lyon": SiteRecord(state="excluded", n_failed=3, sits_out=9)}
    save_checkpoint(tmp_path, RunState(sites=sites, step_seconds={"lyon": 0.75}))
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert (loaded.sites, loaded.step_seconds) == (sites, {"lyon": 0.75})


@pytest.mark.parametrize(
    "field", ["parameters", "average", "optimizer_state", "server_state", "variates"]
)
def test_a_state_that_is_not_finite_is_never_written(tmp_path: Path, field: str) -> None:
    """A run that is resumed from it could not go on either."""
    save_checkpoint(tmp_path, state(1))
    change: dict[str, Any] = {field: {"w": np.array([np.inf], np.float32)}}
    poisoned = dataclasses.replace(state(2), **change)
    with pytest.raises(CheckpointError, match=rf"{field} of round 2 of 'training': w holds"):
        save_checkpoint(tmp_path, poisoned)
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.round_index == 1


def test_what_sites_declared_and_the_lengths_of_their_updates_come_back(tmp_path: Path) -> None:
    known = dataclasses.replace(
        state(2),
        declared={"lyon": Declared(n_cases=4, lesion_volume_ml=0.1 + 0.2)},
        update_norms={"change": ((0.1 + 0.2, 1e-300), (3.4e38,))},
    )
    save_checkpoint(tmp_path, known)
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.declared == known.declared
    assert loaded.update_norms == known.update_norms  # to the last bit
