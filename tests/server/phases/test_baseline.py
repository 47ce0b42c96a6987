from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from common.errors import UpdateRejected
from common.recipe.recipe import load_recipe
from common.wire.messages import BaselineSums, PartFacts, SiteUpdate, SummedSubjects
from server.events.event_log import EventLog
from server.events.event_text import announced_in_words
from server.events.history import read_history
from server.phases.baseline import THRESHOLDS, BaselinePhase
from server.rounds.phase import Exchange
from server.run.run_state import RunState

NONE = SummedSubjects(n_subjects=0)


def sums(n_cases: int, **at: float) -> BaselineSums:
    """Sums of Dice that are 0 but at some thresholds, named by their place: at_3=0.5."""
    dice = [0.0] * len(THRESHOLDS)
    for place, value in at.items():
        dice[int(place.removeprefix("at_"))] = value
    return BaselineSums(
        dice_sums=tuple(dice), n_cases=n_cases, parts={}, for_round=NONE, for_threshold=NONE
    )


class Held:
    """One baseline phase whose sites answer as told."""

    def __init__(self, folder: Path) -> None:
        self.events_file = folder / "events.jsonl"
        phase = BaselinePhase(load_recipe("default"), EventLog(self.events_file))
        self._round = phase.round(RunState())
        self.exchange: Exchange = next(self._round)

    def end(self) -> RunState:
        with pytest.raises(StopIteration) as ended:
            next(self._round)
        state: RunState = ended.value.value
        return state

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = self.events_file.read_text("utf-8").splitlines()
        return [event for line in lines if (event := json.loads(line))["event"] == kind]


def test_the_threshold_with_the_best_mean_over_all_cases_is_chosen(tmp_path: Path) -> None:
    """At place 20: 0.9 + 0.3 = 1.2; at place 30: 1.8; so 3.0, with 1.8 / (1 + 3) = 0.45."""
    held = Held(tmp_path)
    held.exchange.accumulate("lyon", sums(1, at_20=0.9))
    held.exchange.accumulate("ghent", sums(3, at_20=0.3, at_30=1.8))
    assert held.end().baseline_threshold == THRESHOLDS[30] == 3.0
    [event] = held.events("baseline-threshold")
    assert (event["threshold_z"], event["mean_dice"]) == (3.0, pytest.approx(0.45))


def test_where_no_site_has_sums_to_give_there_is_no_threshold_and_no_event(tmp_path: Path) -> None:
    held = Held(tmp_path)
    for site in ("lyon", "ghent"):
        held.exchange.accumulate(site, sums(0))
    assert held.end().baseline_threshold is None
    assert held.events("baseline-threshold") == []


def test_a_small_site_beside_a_large_one_does_not_move_the_choice(tmp_path: Path) -> None:
    held = Held(tmp_path)
    held.exchange.accumulate("lyon", sums(0))
    held.exchange.accumulate("ghent", sums(2, at_7=1.0))
    assert held.end().baseline_threshold == THRESHOLDS[7]


class Announced:
    """What a baseline phase says of the choices, where every site brings the same."""

    def __init__(self, folder: Path, brings: SummedSubjects, *, validation: bool = False) -> None:
        events = EventLog(folder / "events.jsonl")
        phase = BaselinePhase(load_recipe("default"), events, has_validation_site=validation)
        round_ = phase.round(RunState())
        exchange = next(round_)
        for site in ("lyon", "ghent"):
            reply = dataclasses.replace(sums(0), for_round=brings, for_threshold=brings)
            exchange.accumulate(site, reply)
        with pytest.raises(StopIteration) as ended:
            next(round_)
        self.state: RunState = ended.value.value
        self.by_choice = read_history(folder / "events.jsonl").announced


def test_what_the_sites_cases_will_choose_is_said_before_training(tmp_path: Path) -> None:
    said = Announced(tmp_path, SummedSubjects(n_subjects=3, min_total=6))
    assert said.state.sites_choose_round
    for choice in ("round", "threshold"):
        event = said.by_choice[choice]
        assert (event.n_subjects, event.n_sites, event.otherwise) == (6, 2, None)
    assert announced_in_words(said.by_choice["round"]) == (
        "the round will be chosen on cases of 6 subjects that 2 sites keep from training"
    )


def test_a_run_that_can_choose_nothing_says_so_and_what_to_change(tmp_path: Path) -> None:
    said = Announced(tmp_path, SummedSubjects(n_subjects=2, min_total=5))
    assert not said.state.sites_choose_round
    words = {choice: announced_in_words(event) for choice, event in said.by_choice.items()}
    assert words["round"].startswith("no round will be chosen: the last one is the result.")
    assert words["threshold"].startswith("no threshold will be chosen: the recipe's 0.5 stays.")
    for text in words.values():
        assert 'policy.sums_count = "federation"' in text
        assert "raise federation.site_validation_share" in text


def test_with_a_validation_site_the_sites_cases_choose_no_round(tmp_path: Path) -> None:
    said = Announced(tmp_path, SummedSubjects(n_subjects=9), validation=True)
    assert not said.state.sites_choose_round
    assert set(said.by_choice) == {"threshold"}


def test_a_dice_above_one_is_refused_by_the_sites_name(tmp_path: Path) -> None:
    held = Held(tmp_path)
    with pytest.raises(UpdateRejected, match="site ghent: want sums of Dice up to its 1 cases"):
        held.exchange.accumulate("ghent", sums(1, at_50=1e9))
    assert held.exchange.accumulate("lyon", sums(1, at_50=1 + 1e-12)) == {"n_cases": 1}
    assert held.events("site-split")[0]["site"] == "lyon"


def test_more_subjects_than_cases_are_refused(tmp_path: Path) -> None:
    facts = PartFacts(n_subjects=3, n_cases=2, n_lesions=1, lesion_volume_ml=0.5)
    reply = dataclasses.replace(sums(2), parts={"test": facts})
    with pytest.raises(UpdateRejected, match=r"site lyon: test: .* got 3 of 2"):
        Held(tmp_path).exchange.accumulate("lyon", reply)


@pytest.mark.parametrize("name", ["validation_dice", "estimated_lesion_f1", "true_lesion_f1"])
@pytest.mark.parametrize("value", [1e300, 1.001, -0.1])
def test_a_score_outside_0_to_1_is_no_update(name: str, value: float) -> None:
    facts: dict[str, Any] = {
        "n_cases": 1, "lesion_volume_ml": 1.0, "loss": 0.5, "segmentation_loss": 0.5,
        "site_loss": None, "estimated_lesion_f1": 1.0, "true_lesion_f1": 0.0,
        "validation_dice": None, "n_validation_cases": 0, "wall_s": 1.0,
        "change": {"w": np.zeros(2, np.float32)},
    }  # fmt: skip
    SiteUpdate(**facts)
    with pytest.raises(ValidationError, match=name):
        SiteUpdate(**facts | {name: value})
