"""Toy federations whose optimizers remember earlier rounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.recipe.recipe import load_recipe
from server.run.checkpoint import load_checkpoint
from server.run.run_folder import RunFolder
from server.run.run_state import RunState
from server.simulate import lay_out, simulate
from tests.cut_run import cut_in_the_second_round
from tests.toy_sites import write_site

TINY = (
    "standardization.method=z-score",
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "network.norm=group",
    "sampling.patch_shape=[32, 32, 32]",
    "inference.threshold_from=fixed",
    "inference.overlap=0",
    "optimizer.steps=2",
    "federation.rounds=3",
    "federation.site_validation_share=0",
    "compute.threads=1",
)


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("hospitals")
    return {
        name: write_site(base / name, name=name, seed=seed, label=name, n_subjects=1).parent
        / "bids"
        for seed, name in enumerate(("lyon", "ghent"))
    }


def new_run(path: Path, hospitals: dict[str, Path], state: str) -> RunFolder:
    folder = RunFolder(path)
    lay_out(
        folder,
        load_recipe("default", overrides=[*TINY, f"optimizer.state={state}"]),
        sites=hospitals,
    )
    return folder


def end_of(folder: RunFolder) -> RunState:
    state = load_checkpoint(folder.checkpoints)
    assert state is not None
    return state


@pytest.mark.usefixtures("no_charts")
@pytest.mark.parametrize("way", ["kept", "averaged"])
def test_a_run_that_was_cut_in_a_round_and_resumed_equals_an_uninterrupted_one(
    hospitals: dict[str, Path], tmp_path: Path, way: str
) -> None:
    whole, cut = (new_run(tmp_path / name, hospitals, way) for name in ("whole", "cut"))
    simulate(whole, images=False)

    cut_in_the_second_round(cut)
    simulate(cut, images=False)
    expected, found = end_of(whole), end_of(cut)
    assert found.parameters.keys() == expected.parameters.keys()
    assert found.optimizer_state.keys() == expected.optimizer_state.keys()
    for name, array in (expected.parameters | expected.optimizer_state).items():
        np.testing.assert_array_equal((found.parameters | found.optimizer_state)[name], array)
    assert bool(expected.optimizer_state) == (way == "averaged")
    if way == "averaged":
        steps = {float(a) for n, a in expected.optimizer_state.items() if n.startswith("step.")}
        assert steps == {6.0}  # two in each of three rounds
