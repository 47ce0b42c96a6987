from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.learning.model import NETWORK, initial_parameters, part
from common.model_file import read_model
from common.recipe.recipe import Recipe, load_recipe
from server.central_evaluation import CentralEvaluation
from server.evaluation.case_row import CaseRow
from server.evaluation.predict import Segment
from server.events.event_log import EventLog
from server.run.run_folder import Consortium, EnrolledSite, HeldOutData, RunFolder
from server.run.run_state import RunState, SiteValidation

CASCADE = load_recipe("galassi2019", overrides=["federation.rounds=2", "compute.threads=1"])


class MadeSite:
    """A held-out site whose mean Dice is what is next in the list."""

    def __init__(self, dice: list[float]) -> None:
        self.dice = dice

    def score(self, segment_case: Segment, *, recipe: Recipe) -> list[CaseRow]:
        row = CaseRow(
            site="turin", subject="sub-01", session=None, metrics={"dice": self.dice.pop(0)}
        )
        return [row]


class Judged:
    """A judge of a cascade in a run folder, and the stages it scored."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, validation: list[float]
    ) -> None:
        self.folder = RunFolder(folder)
        site = HeldOutData(name="turin", data=folder)
        consortium = Consortium(
            run="r",
            sites=(EnrolledSite(name="lyon", public_key="k"),),
            validation=(site,) if validation else (),
        )
        judge = CentralEvaluation(
            self.folder,
            recipe=CASCADE,
            consortium=consortium,
            events=EventLog(self.folder.events_file),
        )
        made = MadeSite(validation)
        monkeypatch.setattr("server.central_evaluation.open_held_out_site", lambda *_, **__: made)
        self.stages: list[str] = []
        monkeypatch.setattr("server.central_evaluation.by_network", self._by_network)
        self.judge = judge

    def _by_network(self, network: Any, *_: object) -> None:
        self.stages.append(network.stage)

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = self.folder.events_file.read_text("utf-8").splitlines()
        return [event for line in lines if (event := json.loads(line))["event"] == kind]


def state_after(phase: str, round_index: int) -> RunState:
    return RunState(
        phase=phase,
        round_index=round_index,
        rounds_before=2 if phase == "training-second" else 0,
        parameters=initial_parameters(CASCADE, n_sites=1),
    )


def test_rounds_of_a_cascades_first_network_are_scored_and_never_selected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first network alone does best, and the second's first round is the best of the pair."""
    judged = Judged(tmp_path, monkeypatch, validation=[0.1, 0.9, 0.8, 0.6, 0.5])
    for index in (0, 1, 2):
        state = judged.judge.evaluate_held_out(state_after("training-first", index))
        assert state.selected is None
        assert not judged.folder.model_file.exists()
    selected = judged.judge.evaluate_held_out(state_after("training-second", 1)).selected
    assert selected is not None
    assert (selected.round_index, selected.score) == (3, 0.6)
    worse = dataclasses.replace(state_after("training-second", 2), selected=selected)
    assert judged.judge.evaluate_held_out(worse).selected == selected
    assert [event["round"] for event in judged.events("evaluated")] == [0, 1, 2, 3, 4]
    assert [event["round"] for event in judged.events("selected")] == [3]
    assert judged.stages == ["first", "first", "first", "second", "second"]


def test_the_model_file_holds_both_networks_and_the_runs_own_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = Judged(tmp_path, monkeypatch, validation=[0.6])
    state = judged.judge.evaluate_held_out(state_after("training-second", 2))
    model = read_model(judged.folder.model_file)
    assert model.round_index == 4  # two of the first network and two of the second
    np.testing.assert_equal(dict(model.parameters), part(state.parameters, NETWORK))
    assert {name.partition(".")[0] for name in model.parameters} == {"first", "second"}


def test_without_validation_sites_each_later_round_with_both_networks_is_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = Judged(tmp_path, monkeypatch, validation=[])
    assert judged.judge.evaluate_held_out(state_after("training-first", 2)).selected is None
    state = state_after("training-second", 1)
    for index in (1, 2):
        state = judged.judge.evaluate_held_out(dataclasses.replace(state, round_index=index))
        assert state.selected is not None
        assert (state.selected.round_index, state.selected.by) == (2 + index, "the last round")


@pytest.mark.parametrize(
    ("means", "selected"),
    [
        pytest.param([(0.4, "ab"), (0.3, "ab")], 3, id="the better of the same sites' cases"),
        pytest.param([(0.3, "ab"), (0.4, "ab")], 4, id="the later one is better"),
        pytest.param([(0.4, "ab"), (0.3, "a")], 4, id="other cases do not compare: anew"),
        pytest.param([(0.4, "ab"), None], 3, id="nobody answers: the best stays"),
        pytest.param([None, (0.1, "a")], 4, id="a figure goes before none"),
    ],
)
def test_without_a_validation_site_the_cases_that_sites_keep_choose_the_round(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    means: list[tuple[float, str] | None],
    selected: int,
) -> None:
    judged = Judged(tmp_path, monkeypatch, validation=[])
    state = state_after("training-second", 0)
    for index, mean in enumerate(means, start=1):
        own = None
        if mean is not None:
            own = SiteValidation(mean_dice=mean[0], n_cases=2, sites=tuple(mean[1]))
        state = dataclasses.replace(state, round_index=index, site_validation=own)
        state = judged.judge.evaluate_held_out(state)
    assert state.selected is not None
    assert state.selected.round_index == selected
    assert read_model(judged.folder.model_file).round_index == selected
    recorded = [event["mean_dice"] for event in judged.events("sites-validated")]
    assert recorded == [mean[0] for mean in means if mean is not None]
    if state.selected.score is not None:
        assert state.selected.by.startswith("mean Dice on the cases that sites keep for validation")
