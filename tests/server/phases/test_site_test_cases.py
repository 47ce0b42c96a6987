from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import RunFolderError, UpdateRejected
from common.metrics.threshold_choice import ThresholdChoice
from common.model_file import Model, write_model
from common.recipe.recipe import load_recipe
from common.wire.messages import Assignment, SummedSubjects, ThresholdReply, ThresholdRequest
from server.events.event_log import EventLog
from server.events.history import read_run
from server.phases.site_test_cases import SiteTestPhase
from server.run.run_state import RunState, Selected
from tests.server.report.made_run import started

SELECTED = RunState(selected=Selected(round_index=3, by="the last round", score=None))
CHOICE = ThresholdChoice(
    threshold=0.35,
    by="dice",
    split="kept cases",
    n_cases=4,
    thresholds=(0.35, 0.5),
    mean_dice=(0.6, 0.4),
    mean_lesion_f1=(0.5, 0.3),
)
ASSIGNMENT = Assignment(
    run="r",
    phase="site-test",
    round_index=1,
    recipe="{}",
    code_digest="c",
    site="lyon",
    site_index=0,
    n_sites=1,
    exchange_id="0" * 32,
)


def reply(
    dice: float, lesion_f1: float, n_cases: int, n_lesion_f1: int | None = None, n_drawn: int = 0
) -> ThresholdReply:
    """Sums over so many cases at one threshold."""
    return ThresholdReply(
        dice_sums=(round(dice * 1e9),),
        lesion_f1_sums=(round(lesion_f1 * 1e9),),
        n_dice=n_cases,
        n_lesion_f1=n_cases if n_lesion_f1 is None else n_lesion_f1,
        n_cases=n_cases,
        n_on_scanner_grid=n_drawn,
        subjects=SummedSubjects(n_subjects=n_cases),
    )


class Held:
    """One site-test phase whose sites answer as told."""

    def __init__(self, folder: Path, state: RunState = SELECTED) -> None:
        model = Model(
            recipe=load_recipe("default"),
            template={"FLAIR": (0.25, 0.875, 1.25)},
            threshold=0.5,
            round_index=3,
            run="r",
            parameters={"w": np.array([-1.5], np.float32)},
        )
        write_model(model, folder / "model.safetensors")
        self.events_file = folder / "events.jsonl"
        events = EventLog(self.events_file)
        phase = SiteTestPhase(model_file=folder / "model.safetensors", events=events)
        self._round = phase.round(state)
        self.exchange = next(self._round)
        self.state = state

    def end(self, replies: Mapping[str, ThresholdReply]) -> dict[str, Any]:
        for site, answer in replies.items():
            self.exchange.accumulate(site, answer)
        with pytest.raises(StopIteration) as ended:
            next(self._round)
        assert ended.value.value == self.state
        event: dict[str, Any] = json.loads(self.events_file.read_text("utf-8").splitlines()[-1])
        return event


def test_the_means_are_over_cases_not_over_sites(tmp_path: Path) -> None:
    """Dice (0.9 + 0.6) / (1 + 3) = 0.375; lesion F1 is defined in 1 + 1 cases: 0.6 / 2 = 0.3."""
    replies = {"lyon": reply(0.9, 0.4, 1), "ghent": reply(0.6, 0.2, 3, n_lesion_f1=1)}
    event = Held(tmp_path).end(replies)
    assert (event["event"], event["n_cases"], event["threshold"]) == ("site-test", 4, 0.5)
    assert event["mean_dice"] == pytest.approx(0.375)
    assert event["mean_lesion_f1"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("state", "threshold"),
    [
        pytest.param(SELECTED, 0.5, id="the model's"),
        pytest.param(
            RunState(selected=SELECTED.selected, threshold_choice=CHOICE),
            0.35,
            id="the one just chosen, which the model file has not yet",
        ),
    ],
)
def test_the_sites_score_their_test_at_the_frozen_threshold(
    tmp_path: Path, state: RunState, threshold: float
) -> None:
    held = Held(tmp_path, state)
    request = held.exchange.request(ASSIGNMENT)
    assert isinstance(request, ThresholdRequest)
    assert (request.part, request.thresholds) == ("test", (threshold,))
    assert held.exchange.roles == ("train",)
    assert held.end({"lyon": reply(0.5, 0.5, 1)})["threshold"] == threshold


def test_where_no_site_keeps_a_test_the_figures_are_undefined_and_the_record_reads_them(
    tmp_path: Path,
) -> None:
    event = Held(tmp_path).end({"lyon": reply(0, 0, 0), "ghent": reply(0, 0, 0)})
    assert (event["n_cases"], event["mean_dice"], event["mean_lesion_f1"]) == (0, None, None)
    run = tmp_path / "run.jsonl"
    begin = {"time": event["time"], **started()}
    run.write_text(f"{json.dumps(begin)}\n{json.dumps(event)}\n", encoding="utf-8")
    tested = read_run(run).site_test
    assert tested is not None
    assert tested.mean_dice is None


def test_a_test_that_nobody_answers_does_not_cost_the_verdict(tmp_path: Path) -> None:
    held = Held(tmp_path)
    assert held.exchange.quorum == 0
    event = held.end({})
    assert (event["n_cases"], event["mean_dice"], event["mean_lesion_f1"]) == (0, None, None)


def test_sums_for_more_thresholds_than_the_one_are_refused_by_the_sites_name(
    tmp_path: Path,
) -> None:
    answer = ThresholdReply(
        dice_sums=(0, 0),
        lesion_f1_sums=(0, 0),
        n_dice=1,
        n_lesion_f1=1,
        n_cases=1,
        n_on_scanner_grid=0,
        subjects=SummedSubjects(n_subjects=1),
    )
    with pytest.raises(UpdateRejected, match=r"site lyon: .*1 thresholds, got 2"):
        Held(tmp_path).exchange.accumulate("lyon", answer)


def test_a_model_file_of_another_round_is_refused(tmp_path: Path) -> None:
    other = RunState(selected=Selected(round_index=2, by="the last round", score=None))
    with pytest.raises(RunFolderError, match="want the selected round 2, found round 3"):
        Held(tmp_path, other)


def test_how_many_cases_were_scored_on_the_scanner_s_grid_is_recorded(tmp_path: Path) -> None:
    held = Held(tmp_path)
    event = held.end(
        {"lyon": reply(0.5, 0.5, 2, n_drawn=1), "porto": reply(0.5, 0.5, 3, n_drawn=3)}
    )
    assert (event["n_cases"], event["n_on_scanner_grid"]) == (5, 4)


def test_more_cases_on_the_scanner_s_grid_than_cases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UpdateRejected, match=r"lyon: want at most its 2 cases on the scanner's"):
        Held(tmp_path).exchange.accumulate("lyon", reply(0.5, 0.5, 2, n_drawn=3))
