"""Whole runs with the site losses that pass feature summaries from round to round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.recipe.recipe import load_recipe
from server.events.history import read_run
from server.events.run_event import RunEvent
from server.events.schema import CheckpointSaved
from server.run.checkpoint import load_checkpoint
from server.run.run_folder import RunFolder
from server.run.run_state import RunState
from server.simulate import lay_out, simulate
from tests.no_charts import without_charts
from tests.toy_sites import write_site

TINY = (
    "standardization.method=z-score",
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 16, 16]",
    "sampling.batch_size=1",
    "optimizer.steps=2",
    "federation.rounds=3",
    "federation.site_validation_share=0",
    "inference.threshold_from=fixed",
    "inference.overlap=0",
    "compute.threads=1",
)

pytestmark = pytest.mark.usefixtures("no_charts")
FEDERATED = ("fed_confusion", "fedharmony", "moment_align")


class Killed(BaseException):
    """Nothing in the product catches this: as after kill -9."""


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> BIDS folder of two toy hospitals."""
    base = tmp_path_factory.mktemp("hospitals")
    return {
        name: write_site(base / name, name=name, seed=seed, label=name, n_subjects=1).parent
        / "bids"
        for seed, name in enumerate(("lyon", "ghent"))
    }


def new_run(path: Path, hospitals: dict[str, Path], name: str) -> RunFolder:
    folder = RunFolder(path)
    loss = f'loss.site={{name = "{name}", weight = 1, ramp_rounds = 1, gradient_bound = 0.5}}'
    lay_out(folder, load_recipe("default", overrides=[*TINY, loss]), sites=hospitals)
    return folder


def last_state(folder: RunFolder) -> RunState:
    state = load_checkpoint(folder.checkpoints)
    assert state is not None
    return state


@pytest.fixture(scope="module", params=FEDERATED)
def whole(
    request: pytest.FixtureRequest,
    hospitals: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, RunFolder]:
    """A site loss, and a finished run with it."""
    folder = new_run(tmp_path_factory.mktemp("runs") / "whole", hospitals, request.param)
    with without_charts():
        simulate(folder, images=False)
    return request.param, folder


def test_a_run_killed_between_two_rounds_ends_as_if_it_had_not_been(
    whole: tuple[str, RunFolder], hospitals: dict[str, Path], tmp_path: Path
) -> None:
    name, uncut = whole
    cut = new_run(tmp_path / "cut", hospitals, name)

    def kill_after_round_2(event: RunEvent) -> None:
        if isinstance(event, CheckpointSaved) and (event.phase, event.round) == ("training", 2):
            raise Killed

    with pytest.raises(Killed):
        simulate(cut, images=False, listener=kill_after_round_2)
    simulate(cut, images=False)
    first, second = last_state(uncut), last_state(cut)
    assert first.features == second.features
    assert first.features.keys() == {0, 1}
    assert first.parameters.keys() == second.parameters.keys()
    for array in first.parameters:
        assert first.parameters[array].tobytes() == second.parameters[array].tobytes(), array


def test_the_loss_begins_in_round_2_and_the_head_is_measured_over_all_sites(
    whole: tuple[str, RunFolder],
) -> None:
    name, folder = whole
    rounds = read_run(folder.events_file).training
    for round_ in rounds:
        for reply in round_.replies.values():
            # in round 1 no summaries are there, and the loss is off
            assert (reply.fact("site_gradient_ratio") is None) == (round_.index == 1)
            assert (reply.fact("site_loss") is None) == (round_.index == 1)
            assert (reply.fact("head_spread") is None) == (name == "moment_align")
        assert (round_.head_spread_all is None) == (name == "moment_align")
    if name == "fed_confusion":
        # the coordinator's head tells the two gains apart: sure answers, which differ by site
        spread = rounds[-1].head_spread_all
        assert spread is not None
        assert spread > 0.1
        assert np.abs(last_state(folder).parameters["head.centre"]).max() > 0
