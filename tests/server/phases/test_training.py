from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import ConfigError, UpdateRejected
from common.learning.model import initial_parameters
from common.recipe.recipe import Recipe, load_recipe
from common.wire.feature_summary import FeatureSummary, HeadAnswers
from common.wire.field_types import Arrays, Stage
from common.wire.messages import (
    Assignment,
    SiteUpdate,
    SummedSubjects,
    ThresholdReply,
    ThresholdRequest,
    TrainRequest,
)
from server.aggregation.site_weight import Declared
from server.events.event_log import EventLog, parse_event
from server.events.site_limited import SiteLimited
from server.phases.training import TrainingPhase
from server.rounds.phase import Exchange
from server.run.run_state import RunState, SiteValidation

ASSIGNMENT = Assignment(
    run="r",
    phase="training",
    round_index=1,
    recipe="{}",
    code_digest="c",
    site="lyon",
    site_index=0,
    n_sites=2,
    exchange_id="0" * 32,
)


def recipe_of(name: str, *overrides: str) -> Recipe:
    small = ["network.widths=[4, 4, 8, 8]"] if name == "default" else []
    rounds = ["federation.rounds=4", "federation.evaluate_every=3"]
    return load_recipe(name, overrides=[*small, *rounds, *overrides])


def phase_of(recipe: Recipe, stage: Stage, *, n_sites: int = 2) -> TrainingPhase:
    events = EventLog(Path("never-written.jsonl"))
    return TrainingPhase(recipe, n_sites=n_sites, n_head_outputs=2, events=events, stage=stage)


def update(change: Arrays, n_cases: int) -> SiteUpdate:
    return SiteUpdate(
        n_cases=n_cases,
        lesion_volume_ml=1.0,
        loss=0.5,
        segmentation_loss=0.5,
        site_loss=None,
        estimated_lesion_f1=None,
        true_lesion_f1=None,
        validation_dice=None,
        n_validation_cases=0,
        wall_s=1.0,
        change=change,
    )


@pytest.mark.parametrize(
    ("recipe", "stage", "name"),
    [
        ("default", "whole", "training"),
        ("galassi2019", "first", "training-first"),
        ("galassi2019", "second", "training-second"),
    ],
)
def test_its_name_says_which_network_learns(recipe: str, stage: Stage, name: str) -> None:
    phase = phase_of(recipe_of(recipe), stage)
    assert (phase.name, phase.n_rounds) == (name, 4)


@pytest.mark.parametrize(("recipe", "stage"), [("default", "whole"), ("galassi2019", "first")])
def test_the_first_training_draws_every_parameter(recipe: str, stage: Stage) -> None:
    settings = recipe_of(recipe)
    state = phase_of(settings, stage).begin(RunState(phase="baseline", round_index=1))
    np.testing.assert_equal(state.parameters, initial_parameters(settings, n_sites=2))
    assert state.rounds_before == 0


def test_the_second_training_continues_from_the_first_and_its_round_numbers_continue() -> None:
    parameters: Arrays = {"network.first.w": np.array([-0.5, 2.0], np.float32)}
    before = RunState(phase="mining", round_index=1, parameters=parameters)
    state = phase_of(recipe_of("galassi2019"), "second").begin(before)
    np.testing.assert_equal(state.parameters, parameters)
    after_two = dataclasses.replace(state, phase="training-second", round_index=2)
    assert after_two.training_round == 6  # four of the first network, two of the second


@pytest.mark.parametrize(
    ("stage", "judged"),
    [
        pytest.param("whole", [0, 3, 4], id="one network"),
        pytest.param("first", [0, 3, 4], id="the first of two"),
        pytest.param("second", [3, 4], id="the second: what it begins with has been judged"),
    ],
)
def test_every_third_round_and_the_last_are_judged(stage: Stage, judged: list[int]) -> None:
    phase = phase_of(recipe_of("galassi2019"), stage)
    assert [index for index in range(5) if phase.is_evaluated(index)] == judged


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        # changes -6, 1 and 2 of sites with 1, 1 and 4 cases, added to 10
        pytest.param("weighted-mean", 10.5, id="10 + (-6 + 1 + 4 * 2) / 6"),
        pytest.param("median", 11.0, id="10 + 1"),
    ],
)
def test_the_recipe_says_how_many_changes_become_one(aggregation: str, expected: float) -> None:
    recipe = recipe_of("default", f"federation.aggregation={aggregation}")
    start: Arrays = {"network.w": np.array([10.0], np.float32)}
    round_ = phase_of(recipe, "whole").round(RunState(parameters=start))
    exchange = next(round_)
    for site, change, n_cases in (("a", -6, 1), ("b", 1, 1), ("c", 2, 4)):
        changes: Arrays = {"network.w": np.array([change], np.float32)}
        facts = exchange.accumulate(site, update(changes, n_cases))
        assert facts["change_norm"] == abs(change)
        assert "change" not in facts
    with pytest.raises(StopIteration) as ended:
        next(round_)
    np.testing.assert_array_equal(ended.value.value.parameters["network.w"], [expected])
    np.testing.assert_array_equal(start["network.w"], [10.0])


def test_a_change_that_comes_two_rounds_late_counts_a_quarter_where_the_factor_is_a_half() -> None:
    """10 + (1 * 3 + 0.5 ** 2 * 4 * -1) / (1 + 0.5 ** 2 * 4) = 10 + (3 - 1) / 2."""
    recipe = recipe_of("default", "federation.late_weight=0.5")
    start: Arrays = {"network.w": np.array([10.0], np.float32)}
    round_ = phase_of(recipe, "whole").round(RunState(parameters=start))
    exchange = next(round_)
    exchange.accumulate("a", update({"network.w": np.array([3.0], np.float32)}, 1))
    assert exchange.accumulate_late is not None
    late = update({"network.w": np.array([-1.0], np.float32)}, 4)
    assert exchange.accumulate_late("b", late, 2)["factor"] == 0.25
    with pytest.raises(StopIteration) as ended:
        next(round_)
    np.testing.assert_array_equal(ended.value.value.parameters["network.w"], [11.0])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("federation.aggregation='median'", "has no weights; want weighted-mean"),
        ("federation.step_budget=0.5", "want one of the two"),
    ],
)
def test_a_weight_for_late_updates_fits_neither_the_median_nor_a_budget(
    other: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        recipe_of("default", "federation.late_weight=0.5", other)


def test_sites_are_sent_the_stage_and_which_lesion_metric_judges() -> None:
    state = RunState(lesion_metric="ab" * 32, template={"FLAIR": (0.5, 1.0, 1.5)})
    exchange = next(phase_of(recipe_of("galassi2019"), "second").round(state))
    request = exchange.request(ASSIGNMENT)
    assert isinstance(request, TrainRequest)
    assert (request.stage, request.lesion_metric) == ("second", "ab" * 32)
    assert request.template == state.template
    assert exchange.roles == ("train",)


def exchanges_of(recipe: Recipe, stage: Stage, state: RunState) -> tuple[list[Exchange], RunState]:
    """Those of one round at which every site answers that its Dice is 0.5, and the state after."""
    round_ = phase_of(recipe, stage).round(state)
    exchanges: list[Exchange] = []
    while True:
        try:
            exchanges.append(next(round_))
        except StopIteration as ended:
            return exchanges, ended.value
        if exchanges[-1].reply is SiteUpdate:
            exchanges[-1].accumulate("lyon", update({"network.w": np.ones(1, np.float32)}, 1))
        else:
            exchanges[-1].accumulate("lyon", HALF_OF_TWO)


HALF_OF_TWO = ThresholdReply(
    dice_sums=(10**9,),
    lesion_f1_sums=(0,),
    n_dice=2,
    n_lesion_f1=2,
    n_cases=2,
    n_on_scanner_grid=0,
    subjects=SummedSubjects(n_subjects=2),
)


@pytest.mark.parametrize(
    ("recipe", "stage", "before", "scored"),
    [
        pytest.param("default", "whole", 1, False, id="the second round is not evaluated"),
        pytest.param("default", "whole", 2, True, id="the third is"),
        pytest.param("default", "whole", 3, True, id="and so is the last"),
        pytest.param("galassi2019", "first", 2, False, id="no second network yet"),
        pytest.param("galassi2019", "second", 2, True, id="with both networks"),
    ],
)
def test_sites_that_choose_the_round_score_the_new_parameters_of_evaluated_rounds(
    recipe: str, stage: Stage, before: int, scored: bool
) -> None:
    old = SiteValidation(mean_dice=0.25, n_cases=1, sites=("ghent",))
    state = RunState(
        round_index=before,
        sites_choose_round=True,
        site_validation=old,
        parameters={"network.w": np.array([2.0], np.float32)},
    )
    exchanges, after = exchanges_of(recipe_of(recipe), stage, state)
    assert len(exchanges) == 1 + scored
    own = SiteValidation(mean_dice=0.5, n_cases=2, sites=("lyon",))
    assert after.site_validation == (own if scored else None)
    if scored:
        request = exchanges[1].request(ASSIGNMENT)
        assert isinstance(request, ThresholdRequest)
        assert (request.part, exchanges[1].quorum) == ("validation", 0)
        np.testing.assert_equal(request.parameters, {"w": np.array([3.0], np.float32)})


def test_no_site_is_asked_where_the_sites_do_not_choose_the_round() -> None:
    state = RunState(round_index=2, parameters={"network.w": np.array([2.0], np.float32)})
    exchanges, _ = exchanges_of(recipe_of("default"), "whole", state)
    assert len(exchanges) == 1


def summary(mean: float) -> FeatureSummary:
    return FeatureSummary(mean=(mean,) * 8, variance=(1.0,) * 8)


def opened(name: str, *extra: str, n_asked: int = 2, n_sites: int = 2) -> tuple[Exchange, RunState]:
    """The first exchange of a round with this site loss, after so many sites were asked."""
    loss = f'loss.site={{name = "{name}", weight = 1.0, ramp_rounds = 1}}'
    phase = phase_of(recipe_of("default", loss, *extra), "whole", n_sites=n_sites)
    state = phase.begin(RunState())
    exchange = next(phase.round(state))
    for index, site in enumerate(("lyon", "ghent")[:n_asked]):
        exchange.request(dataclasses.replace(ASSIGNMENT, site=site, site_index=index))
    return exchange, state


def reply(state: RunState, *, prefix: str = "network.", **facts: Any) -> SiteUpdate:
    change = {k: np.zeros_like(v) for k, v in state.parameters.items() if k.startswith(prefix)}
    return dataclasses.replace(update(change, 3), **facts)


def test_a_site_s_summary_is_of_itself_alone_unless_it_trains_alone() -> None:
    exchange, state = opened("fed_confusion")
    exchange.accumulate("lyon", reply(state, features={0: summary(1)}))
    with pytest.raises(UpdateRejected, match=r"site ghent: .* be of sites \[0\]; want \[1\]"):
        exchange.accumulate("ghent", reply(state, features={0: summary(-1)}))
    alone, state = opened("fed_confusion", n_asked=1, n_sites=1)
    alone.accumulate("lyon", reply(state, features={0: summary(1), 1: summary(2)}))


def test_the_only_site_that_is_there_in_a_round_cannot_summarize_the_absent_ones() -> None:
    exchange, state = opened("fed_confusion", n_asked=1)
    with pytest.raises(UpdateRejected, match=r"site lyon: .* be of sites \[1\]; want \[0\]"):
        exchange.accumulate("lyon", reply(state, features={0: summary(1), 1: summary(2)}))


def test_a_late_update_with_answers_that_no_head_gives_is_refused_by_its_site_s_name() -> None:
    exchange, state = opened("uniform", "federation.late_weight=0.5")
    assert exchange.accumulate_late is not None
    odd = HeadAnswers(n_patches=4, mean=(0.5, 0.25, 0.25), mean_square=(0.25, 0.25))
    with pytest.raises(UpdateRejected, match=r"site ghent: the head's answers have \[2, 3\]"):
        exchange.accumulate_late("ghent", reply(state, prefix="", head_answers=odd), 1)


def test_features_that_nobody_asked_for_are_refused() -> None:
    exchange, state = opened("uniform")
    with pytest.raises(UpdateRejected, match=r"site lyon: .* be of sites \[0\]; want \[\]"):
        exchange.accumulate("lyon", reply(state, prefix="", features={0: summary(1)}))


def test_a_change_of_the_frozen_head_is_refused_and_a_trained_one_must_be_there() -> None:
    exchange, state = opened("fed_confusion")
    with pytest.raises(UpdateRejected, match=r"site lyon: these arrays are missing or unknown"):
        exchange.accumulate("lyon", reply(state, prefix=""))
    exchange, state = opened("fedharmony")
    with pytest.raises(UpdateRejected, match=r"site lyon: these arrays are missing or unknown"):
        exchange.accumulate("lyon", reply(state))


def test_the_second_network_of_a_cascade_begins_without_the_first_one_s_features() -> None:
    before = RunState(phase="mining", round_index=1, features={0: summary(1)})
    assert phase_of(recipe_of("galassi2019"), "second").begin(before).features == {}


def averaged_round(*updates: SiteUpdate) -> RunState:
    """The state after a round of these sites; one weight, whose mean square was 4 before."""
    recipe = recipe_of("default", "optimizer.state=averaged")
    start = RunState(
        parameters={"network.w": np.array([10.0], np.float32)},
        optimizer_state={"exp_avg_sq.network.w": np.array([4.0], np.float32)},
    )
    round_ = phase_of(recipe, "whole").round(start)
    exchange = next(round_)
    request = exchange.request(ASSIGNMENT)
    assert isinstance(request, TrainRequest)
    np.testing.assert_equal(request.optimizer_state, start.optimizer_state)
    for number, sent in enumerate(updates):
        facts = exchange.accumulate(f"site-{number}", sent)
        assert "optimizer_state" not in facts
    with pytest.raises(StopIteration) as ended:
        next(round_)
    after: RunState = ended.value.value
    return after


def with_state(change: float, square: float, n_cases: int) -> SiteUpdate:
    return dataclasses.replace(
        update({"network.w": np.array([change], np.float32)}, n_cases),
        optimizer_state={"exp_avg_sq.network.w": np.array([square], np.float32)},
    )


def test_optimizer_states_are_averaged_with_the_weights_of_the_changes() -> None:
    """10 + (1 * -4 + 3 * 2) / 4, and (1 * 8 + 3 * 0) / 4 whatever it was before."""
    after = averaged_round(with_state(-4, 8, 1), with_state(2, 0, 3))
    np.testing.assert_array_equal(after.parameters["network.w"], [10.5])
    np.testing.assert_array_equal(after.optimizer_state["exp_avg_sq.network.w"], [2.0])


def test_the_state_of_one_site_alone_comes_back_bit_by_bit() -> None:
    third = float(np.float32(1 / 3))
    after = averaged_round(with_state(1, third, 7))
    assert after.optimizer_state["exp_avg_sq.network.w"].tolist() == [third]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        pytest.param(with_state(1, -1e-9, 1), "site-0: optimizer state exp_avg_sq", id="below 0"),
        pytest.param(with_state(1, np.inf, 1), "site-0: optimizer state exp_avg", id="infinite"),
        pytest.param(update({"network.w": np.ones(1, np.float32)}, 1), "missing", id="none"),
        pytest.param(
            update(
                {
                    "network.w": np.ones(1, np.float32),
                    "optimizer.exp_avg_sq.network.w": np.array([-9.0], np.float32),
                },
                1,
            ),
            "site-0: change: want parameters alone",
            id="one below 0, said to be a change",
        ),
    ],
)
def test_an_optimizer_state_that_cannot_be_is_refused_with_its_change(
    sent: SiteUpdate, words: str
) -> None:
    with pytest.raises(UpdateRejected, match=words):
        averaged_round(sent)


def test_an_optimizer_state_that_nobody_asked_for_is_refused() -> None:
    round_ = phase_of(recipe_of("default"), "whole").round(
        RunState(parameters={"network.w": np.array([10.0], np.float32)})
    )
    with pytest.raises(UpdateRejected, match=r"missing or unknown: \['optimizer.exp_avg_sq"):
        next(round_).accumulate("lyon", with_state(1, 1, 1))


def test_a_whole_epochs_steps_are_divided_and_the_update_is_weighed_by_its_cases_alone() -> None:
    """40 steps over 3 and 1 cases; 10 + (3 * -2 + 1 * 6) / 4."""
    recipe = recipe_of("default", "optimizer.steps=40", "federation.steps_are=whole-epoch")
    start: Arrays = {"network.w": np.array([10.0], np.float32)}
    state = RunState(parameters=start, training_cases={"lyon": 3, "ghent": 1})
    round_ = phase_of(recipe, "whole").round(state)
    exchange = next(round_)
    for site, change, n_cases, steps in (("lyon", -2, 3, 30), ("ghent", 6, 1, 10)):
        request = exchange.request(dataclasses.replace(ASSIGNMENT, site=site))
        assert isinstance(request, TrainRequest)
        assert request.steps == steps
        exchange.accumulate(site, update({"network.w": np.array([change], np.float32)}, n_cases))
    with pytest.raises(StopIteration) as ended:
        next(round_)
    np.testing.assert_array_equal(ended.value.value.parameters["network.w"], [10.0])


def after_round(
    phase: TrainingPhase, state: RunState, updates: dict[str, SiteUpdate]
) -> tuple[RunState, dict[str, TrainRequest]]:
    """The state after a round in which these sites answer, and what each was asked."""
    round_ = phase.round(state)
    exchange = next(round_)
    asked = {}
    for index, (site, sent) in enumerate(updates.items()):
        assignment = dataclasses.replace(ASSIGNMENT, site=site, site_index=index)
        request = exchange.request(assignment)
        assert isinstance(request, TrainRequest)
        asked[site] = request
        exchange.accumulate(site, sent)
    with pytest.raises(StopIteration) as ended:
        next(round_)
    after: RunState = ended.value.value
    return after, asked


def change_of(value: float) -> Arrays:
    return {"network.w": np.array([value], np.float32)}


def test_a_server_optimizer_goes_on_with_the_changes_of_the_rounds_before() -> None:
    """Mean changes 2 and 0: 10 + 2, then + 0.5 * 2."""
    recipe = recipe_of("default", 'federation.server_optimizer={name="momentum", beta=0.5}')
    phase = phase_of(recipe, "whole")
    state = RunState(parameters=change_of(10.0))
    for changes in ((1.0, 3.0), (-1.0, 1.0)):
        sent = dict(zip("ab", (update(change_of(value), 1) for value in changes), strict=True))
        state, _ = after_round(phase, state, sent)
    np.testing.assert_allclose(state.parameters["network.w"], [13.0])


def test_a_new_training_forgets_what_the_server_optimizer_remembers() -> None:
    before = RunState(parameters=change_of(1.0), server_state={"first.network.w": np.ones(1)})
    assert phase_of(recipe_of("galassi2019"), "second").begin(before).server_state == {}


def test_the_figures_of_one_round_weigh_the_updates_of_the_next() -> None:
    """Dice 0.2 and 0.6 weigh 0.8 / 0.6 and 0.4 / 0.6, two to one: 10 + 0, then + (2 * 3 - 3) / 3.

    In the first round both count alike.
    """
    recipe = recipe_of("default", "federation.weighting=validation")
    phase, state = phase_of(recipe, "whole"), RunState(parameters=change_of(10.0))
    sent = {
        site: dataclasses.replace(update(change_of(value), n), validation_dice=dice)
        for site, value, n, dice in (("a", 3.0, 1, 0.2), ("b", -3.0, 9, 0.6))
    }
    state, _ = after_round(phase, state, sent)
    np.testing.assert_allclose(state.parameters["network.w"], [10.0])
    assert state.validation_dice == {"a": 0.2, "b": 0.6}
    without = dataclasses.replace(sent["a"], validation_dice=None)
    state, _ = after_round(phase, state, {**sent, "a": without})
    np.testing.assert_allclose(state.parameters["network.w"], [11.0])
    assert state.validation_dice == {"b": 0.6}


SCAFFOLD = (
    "federation.drift=scaffold",
    "federation.weighting=equal",
    "optimizer.name=sgd",
    "optimizer.state=reset",
)


def test_the_variates_of_all_sites_move_by_the_share_of_those_that_answered() -> None:
    """One of two sites answers and moves its own by 3: c is 0.5 + 3 / 2, and went out as 0.5."""
    phase = phase_of(recipe_of("default", *SCAFFOLD), "whole")
    state = RunState(parameters=change_of(10.0), variates=change_of(0.5))
    sent = dataclasses.replace(update(change_of(1.0), 1), variates=change_of(3.0))
    state, asked = after_round(phase, state, {"a": sent})
    np.testing.assert_array_equal(asked["a"].variates["network.w"], [0.5])
    np.testing.assert_allclose(state.variates["network.w"], [2.0])
    np.testing.assert_allclose(state.parameters["network.w"], [11.0])


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"network.v": np.zeros(1, np.float32)},
        {"network.w": np.zeros(2, np.float32)},
        {"network.w": np.array([np.inf], np.float32)},
    ],
)
def test_an_update_whose_variates_do_not_fit_is_refused_by_name(odd: Arrays) -> None:
    phase = phase_of(recipe_of("default", *SCAFFOLD), "whole")
    exchange = next(phase.round(RunState(parameters=change_of(1.0), variates=change_of(0.0))))
    with pytest.raises(UpdateRejected, match="lyon"):
        exchange.accumulate("lyon", dataclasses.replace(update(change_of(1.0), 1), variates=odd))


def test_variates_that_nobody_asked_for_are_refused() -> None:
    exchange = next(
        phase_of(recipe_of("default"), "whole").round(RunState(parameters=change_of(1)))
    )
    with pytest.raises(UpdateRejected, match="lyon"):
        exchange.accumulate(
            "lyon", dataclasses.replace(update(change_of(1.0), 1), variates=change_of(1.0))
        )


def test_sites_go_on_from_the_parameters_and_their_moving_average_is_judged() -> None:
    recipe = recipe_of("default", "federation.moving_average=0.5")
    state = RunState(parameters={"network.w": np.array([10.0], np.float32)})
    phase = phase_of(recipe, "whole")
    for index, change in enumerate((-6.0, 9.0)):
        state = dataclasses.replace(state, round_index=index)
        round_ = phase.round(state)
        exchange = next(round_)
        sent = exchange.request(ASSIGNMENT)
        assert isinstance(sent, TrainRequest)
        np.testing.assert_equal(sent.parameters, state.parameters)
        exchange.accumulate("a", update({"network.w": np.array([change], np.float32)}, 2))
        with pytest.raises(StopIteration) as ended:
            next(round_)
        state = ended.value.value
    # 10 - 6 = 4, then 4 + 9 = 13; weights 1/3 and 2/3: (4 + 26) / 3
    np.testing.assert_array_equal(state.parameters["network.w"], [13.0])
    np.testing.assert_array_equal(state.judged_parameters["network.w"], [10.0])


def test_without_a_moving_average_no_array_is_kept() -> None:
    round_ = phase_of(recipe_of("default"), "whole").round(
        RunState(parameters={"network.w": np.array([10.0], np.float32)})
    )
    next(round_).accumulate("a", update({"network.w": np.array([3.0], np.float32)}, 2))
    with pytest.raises(StopIteration) as ended:
        next(round_)
    assert ended.value.value.average == {}
    assert ended.value.value.judged_parameters is ended.value.value.parameters


DECLARED = {
    "a": Declared(n_cases=2, lesion_volume_ml=8.0),
    "b": Declared(n_cases=4, lesion_volume_ml=2.0),
    "c": Declared(n_cases=10, lesion_volume_ml=1.0),
}


class Recorded:
    """A training phase, and what it recorded."""

    def __init__(self, folder: Path, *overrides: str) -> None:
        self.file = folder / "events.jsonl"
        self.phase = TrainingPhase(
            recipe_of("default", *overrides), n_sites=4, events=EventLog(self.file)
        )

    def round(self, state: RunState, updates: list[tuple[str, SiteUpdate]]) -> RunState:
        round_ = self.phase.round(state)
        exchange = next(round_)
        for site, sent in updates:
            exchange.accumulate(site, sent)
        with pytest.raises(StopIteration) as ended:
            next(round_)
        after: RunState = ended.value.value
        return dataclasses.replace(after, round_index=state.round_index + 1)

    def limited(self) -> list[tuple[int, str, str, float, float]]:
        lines = self.file.read_text("utf-8").splitlines() if self.file.exists() else []
        events = [event for line in lines if isinstance(event := parse_event(line), SiteLimited)]
        return [(e.round, e.site, e.limit, e.found, e.allowed) for e in events]


def moved(change: float, n_cases: int, volume_ml: float = 1.0) -> SiteUpdate:
    sent = update({"network.w": np.array([change], np.float32)}, n_cases)
    return dataclasses.replace(sent, lesion_volume_ml=volume_ml)


START: Arrays = {"network.w": np.array([10.0], np.float32)}


def test_no_site_counts_for_more_cases_than_it_declared(tmp_path: Path) -> None:
    """10 + (2 * -6 + 1 * 3) / 3: of a's ten million cases the 2 count that it declared."""
    run = Recorded(tmp_path)
    state = RunState(parameters=START, declared=DECLARED)
    ended = run.round(state, [("a", moved(-6, 10**7)), ("b", moved(3, 1))])
    np.testing.assert_allclose(ended.parameters["network.w"], [7.0], rtol=1e-6)
    assert run.limited() == [(1, "a", "cases", 1e7, 2.0)]


def test_no_site_counts_for_more_lesion_than_it_declared(tmp_path: Path) -> None:
    """10 + (8 * -6 + 2 * 3) / 10; a sum that is above the declared one by rounding is not over."""
    run = Recorded(tmp_path, "federation.weighting=lesion-volume")
    state = RunState(parameters=START, declared=DECLARED)
    updates = [("a", moved(-6, 1, volume_ml=1e9)), ("b", moved(3, 1, volume_ml=2.0 + 1e-9))]
    ended = run.round(state, updates)
    np.testing.assert_allclose(ended.parameters["network.w"], [5.8], rtol=1e-6)
    assert run.limited() == [(1, "a", "lesion-volume", 1e9, 8.0)]


def test_a_site_that_declared_nothing_counts_at_most_as_the_median_of_the_others(
    tmp_path: Path,
) -> None:
    run = Recorded(tmp_path)
    run.round(RunState(parameters=START, declared=DECLARED), [("late", moved(1, 10**7))])
    assert run.limited() == [(1, "late", "cases", 1e7, 4.0)]


def test_an_equal_weight_needs_no_declaration(tmp_path: Path) -> None:
    run = Recorded(tmp_path, "federation.weighting=equal")
    run.round(RunState(parameters=START, declared=DECLARED), [("a", moved(1, 10**7))])
    assert run.limited() == []


def test_lengths_of_the_rounds_before_bound_an_update_and_are_in_the_state(tmp_path: Path) -> None:
    """Lengths 1, 2, 3 and 2: the median is 2, so 20 is allowed: 10 + 20 / 4 in round 2."""
    run = Recorded(tmp_path)
    names = ("a", "b", "c", "d")
    lengths = [1.0, -2.0, 3.0, 2.0]
    state = RunState(parameters=START)
    first = run.round(state, [(name, moved(x, 1)) for name, x in zip(names, lengths, strict=True)])
    assert first.update_norms == {"change": ((1.0, 2.0, 3.0, 2.0),)}
    assert run.limited() == []
    again = dataclasses.replace(first, parameters=START)
    largest = float(np.finfo(np.float32).max)
    second = run.round(again, [("b", moved(largest, 1)), *((n, moved(0, 1)) for n in "acd")])
    np.testing.assert_allclose(second.parameters["network.w"], [15.0], rtol=1e-6)
    assert run.limited() == [(2, "b", "length", largest, 20.0)]
    assert second.update_norms["change"][1] == (0.0, largest, 0.0, 0.0)
    assert run.phase.begin(second).update_norms == {}  # another network has lengths of its own


def test_an_update_that_is_refused_counts_nowhere(tmp_path: Path) -> None:
    """The site could not have been named as failed and have a say in the round all the same."""
    run = Recorded(tmp_path)
    round_ = run.phase.round(RunState(parameters=START))
    exchange = next(round_)
    with pytest.raises(UpdateRejected, match=r"site a: network\.w has 1 values"):
        exchange.accumulate("a", moved(float("nan"), 1))
    exchange.accumulate("b", moved(1, 1))
    with pytest.raises(StopIteration) as ended:
        next(round_)
    np.testing.assert_array_equal(ended.value.value.parameters["network.w"], [11.0])
    assert ended.value.value.update_norms == {"change": ((1.0,),)}
