from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.phases.site_cases import own_cases
from client.site.settings import read_site
from common.errors import RunFolderError, UpdateRejected
from common.learning.model import new_network
from common.learning.networks.parameters import load_parameters
from common.learning.segmentation import sweep_case
from common.metrics.threshold_choice import SMALLEST_MM3, choose, sum_cases
from common.metrics.threshold_sweep import THRESHOLDS
from common.model_file import Model, read_model, write_model
from common.recipe.recipe import Recipe, load_recipe
from common.wire.messages import SummedSubjects, ThresholdReply
from server.aggregation.site_weight import Declared
from server.events.event_log import EventLog
from server.events.history import read_run
from server.events.run_event import RunEvent
from server.events.threshold_events import ThresholdChosen, ThresholdKept
from server.phases.threshold import ThresholdPhase
from server.rounds.phase import Exchange
from server.run.checkpoint import load_checkpoint, save_checkpoint
from server.run.run_folder import RunFolder
from server.run.run_state import RunState, Selected
from server.simulate import lay_out, simulate
from tests.no_charts import without_charts
from tests.server.report.made_run import started
from tests.toy_sites import write_site

SELECTED = RunState(selected=Selected(round_index=3, by="the last round", score=None))


def reply(n_cases: int, best: int = 5, **changes: Any) -> ThresholdReply:
    """All cases have Dice 0.5 at the threshold at `best` and 0.25 elsewhere; lesion F1 is 0.1."""
    fields: dict[str, Any] = {
        "dice_sums": tuple(
            n_cases * (500_000_000 if i == best else 250_000_000) for i in range(19)
        ),
        "lesion_f1_sums": (n_cases * 100_000_000,) * 19,
        "n_dice": n_cases,
        "n_lesion_f1": n_cases,
        "n_cases": n_cases,
        "n_on_scanner_grid": 0,
        "subjects": SummedSubjects(n_subjects=n_cases),
    }
    return ThresholdReply(**fields | changes)


class Held:
    """One threshold phase whose sites answer as told."""

    def __init__(
        self, folder: Path, *, round_index: int = 3, by: str = "dice", smallest: str = "fixed"
    ) -> None:
        recipe = load_recipe(
            "default",
            overrides=[f"inference.threshold_by={by}", f"inference.smallest_from={smallest}"],
        )
        self.events_file = folder / "events.jsonl"
        write_model(
            Model(
                recipe=recipe,
                template={"FLAIR": (0.25, 0.875, 1.25)},
                threshold=0.5,
                round_index=round_index,
                run="r",
                parameters={"w": np.array([1.5], np.float32)},
            ),
            folder / "model.safetensors",
        )
        self.phase = ThresholdPhase(
            recipe, model_file=folder / "model.safetensors", events=EventLog(self.events_file)
        )

    def exchange(self, state: RunState = SELECTED) -> Exchange:
        return next(self.phase.round(state))

    def end(self, replies: Mapping[str, ThresholdReply]) -> RunState:
        round_ = self.phase.round(SELECTED)
        exchange = next(round_)
        for site, answer in replies.items():
            exchange.accumulate(site, answer)
        with pytest.raises(StopIteration) as ended:
            next(round_)
        state: RunState = ended.value.value
        return state

    def last_event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.events_file.read_text("utf-8").splitlines()[-1])
        return event


def test_the_mean_over_all_cases_decides_not_the_mean_over_sites(tmp_path: Path) -> None:
    # at the 3rd threshold (1 * 0.5 + 3 * 0.25) / 4 = 0.3125, at the 9th (0.25 + 3 * 0.5) / 4
    held = Held(tmp_path)
    choice = held.end({"lyon": reply(1, best=2), "ghent": reply(3, best=8)}).threshold_choice
    assert choice is not None
    assert choice.threshold == THRESHOLDS[8]
    assert choice.n_cases == 4
    assert choice.mean_dice[2] == 0.3125
    assert choice.mean_dice[8] == 0.4375
    assert choice.mean_lesion_f1 == (0.1,) * 19
    event = held.last_event()
    assert event["event"] == "threshold-chosen"
    assert (event["threshold"], event["mean_dice"]) == (0.45, list(choice.mean_dice))


def test_the_choice_does_not_depend_on_who_was_quicker(tmp_path: Path) -> None:
    replies = {"lyon": reply(1, best=2), "ghent": reply(3, best=8), "turin": reply(7, best=11)}
    backwards = dict(reversed(replies.items()))
    assert Held(tmp_path).end(replies) == Held(tmp_path).end(backwards)


def test_the_recipe_says_which_mean_decides(tmp_path: Path) -> None:
    f1 = (0,) * 15 + (10**9,) + (0,) * 3
    choice = (
        Held(tmp_path, by="lesion_f1")
        .end({"lyon": reply(1, best=2, lesion_f1_sums=f1)})
        .threshold_choice
    )
    assert choice is not None
    assert (choice.by, choice.threshold) == ("lesion_f1", THRESHOLDS[15])


def test_where_no_site_has_a_case_to_give_the_recipes_threshold_stays_and_an_event_says_so(
    tmp_path: Path,
) -> None:
    held = Held(tmp_path)
    state = held.end({"lyon": reply(0), "ghent": reply(0)})
    assert state == SELECTED
    event = held.last_event()
    assert (event["event"], event["threshold"]) == ("threshold-kept", 0.5)
    assert "no training site keeps a case from training" in event["reason"]
    run = tmp_path / "run.jsonl"
    begin = {"time": event["time"], **started()}
    run.write_text(f"{json.dumps(begin)}\n{json.dumps(event)}\n", encoding="utf-8")
    assert isinstance(read_run(run).decision_threshold, ThresholdKept)


def test_a_site_that_wants_a_larger_total_than_there_is_has_no_say(tmp_path: Path) -> None:
    """Of 1 + 2 + 1 subjects ghent wants 5; without it there are 3, as many as the others want."""
    replies = {
        "ghent": reply(1, best=11, subjects=SummedSubjects(n_subjects=1, min_total=5)),
        "lyon": reply(2, best=2, subjects=SummedSubjects(n_subjects=2, min_total=3)),
        "porto": reply(1, best=2, subjects=SummedSubjects(n_subjects=1, min_total=2)),
    }
    choice = Held(tmp_path).end(replies).threshold_choice
    assert choice is not None
    assert (choice.threshold, choice.n_cases) == (THRESHOLDS[2], 3)
    assert choice.mean_dice[11] == 0.25


def test_where_the_total_is_too_small_for_every_site_the_recipes_threshold_stays(
    tmp_path: Path,
) -> None:
    few = reply(2, subjects=SummedSubjects(n_subjects=2, min_total=5))
    held = Held(tmp_path)
    assert held.end({"lyon": few, "ghent": few}).threshold_choice is None
    assert held.last_event()["event"] == "threshold-kept"


def test_no_number_of_one_sites_kept_cases_is_recorded(tmp_path: Path) -> None:
    """With two sites the number of one and the total would tell that of the other."""
    for answer in (reply(2), reply(2, subjects=SummedSubjects(n_subjects=2, min_total=5))):
        assert Held(tmp_path).exchange().accumulate("lyon", answer) == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param(
            {"subjects": SummedSubjects(n_subjects=3)}, "from 1 to 2 subjects .* got 3", id="more"
        ),
        pytest.param({"subjects": SummedSubjects(n_subjects=0)}, "1 to 2 .* got 0", id="nobody"),
        pytest.param({"dice_sums": (0,) * 18}, "each of 19 thresholds, got 18", id="18 sums"),
        pytest.param({"lesion_f1_sums": (0,) * 20}, "got 19 and 20", id="20 sums"),
        pytest.param({"dice_sums": (2 * 10**9 + 1,) * 19}, "from 0 to 2 cases", id="Dice above 1"),
        pytest.param({"n_dice": 3}, "n_dice: want 0 to 2 cases, got 3", id="more than there are"),
    ],
)
def test_sums_that_cannot_be_true_are_left_out_and_their_site_named(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    exchange = Held(tmp_path).exchange()
    with pytest.raises(UpdateRejected, match=f"site lyon: .*{words}"):
        exchange.accumulate("lyon", reply(2, **changes))


def by_smallest(n_cases: int, tenths: tuple[int, ...]) -> ThresholdReply:
    """Mean Dice in tenths at the 10th threshold for each smallest volume; 0 elsewhere."""
    rows = [(0,) * 9 + (n_cases * one * 10**8,) + (0,) * 9 for one in tenths]
    flat = tuple(one for row in rows for one in row)
    return reply(n_cases, dice_sums=flat, lesion_f1_sums=(0,) * len(flat))


def test_the_smallest_lesion_is_chosen_over_all_cases_and_kept_in_event_and_checkpoint(
    tmp_path: Path,
) -> None:
    """(1 * 9 + 3 * 2) / 4 = 3.75 tenths without a limit, (1 * 1 + 3 * 6) / 4 = 4.75 with 6 mm3."""
    held = Held(tmp_path, smallest="sites")
    replies = {
        "lyon": by_smallest(1, (9, 1, 1, 1, 1, 1)),
        "ghent": by_smallest(3, (2, 2, 6, 2, 2, 2)),
    }
    state = held.end(replies)
    choice = state.threshold_choice
    assert choice is not None
    assert (choice.smallest_mm3, choice.threshold) == (6.0, 0.5)
    assert choice.best_by_smallest == (0.375, 0.175, 0.475, 0.175, 0.175, 0.175)
    event = held.last_event()
    assert (event["smallest_mm3"], event["smallest_grid_mm3"]) == (6.0, [0, 3, 6, 10, 15, 20])
    save_checkpoint(tmp_path, state)
    assert load_checkpoint(tmp_path) == state


@pytest.mark.parametrize(
    ("dice", "words"),
    [
        ((0,) * 19, "19 thresholds with each of 6 smallest volumes, got 19 and 114"),
        ((0,) * 113, "got 113 and 114"),
        ((0,) * 113 + (2 * 10**9 + 1,), "from 0 to 2 cases"),
    ],
)
def test_sums_by_smallest_volume_that_cannot_be_true_are_left_out(
    tmp_path: Path, dice: tuple[int, ...], words: str
) -> None:
    exchange = Held(tmp_path, smallest="sites").exchange()
    with pytest.raises(UpdateRejected, match=f"site lyon: .*{words}"):
        exchange.accumulate("lyon", reply(2, dice_sums=dice, lesion_f1_sums=(0,) * 114))


def test_a_model_file_of_another_round_than_the_selected_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="want the selected round 3, found round 2"):
        Held(tmp_path, round_index=2).exchange()


def test_a_choice_survives_in_the_checkpoint(tmp_path: Path) -> None:
    state = Held(tmp_path).end({"lyon": reply(2)})
    save_checkpoint(tmp_path, state)
    assert load_checkpoint(tmp_path) == state


# whole federations of toy hospitals

NAMES = ("lyon", "ghent", "porto")


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> BIDS folder of hospitals of three, four and two subjects; not to be changed."""
    base = tmp_path_factory.mktemp("hospitals")
    return {
        name: write_site(base / name, name=name, seed=seed, label=name, n_subjects=n).parent
        / "bids"
        for seed, (name, n) in enumerate(zip(NAMES, (3, 4, 2), strict=True))
    }


def tiny() -> Recipe:
    return load_recipe(
        "default",
        overrides=[
            "network.widths=[4, 4, 8, 8]",
            "network.first_stride=1",
            "sampling.patch_shape=[32, 32, 32]",
            "optimizer.steps=2",
            "federation.rounds=1",
            "federation.evaluate_every=1",
            "federation.site_validation_share=0.5",
            "inference.overlap=0",
            "inference.threshold=0.62",
            "compute.threads=1",
        ],
    )


def new_run(path: Path, hospitals: dict[str, Path], recipe: Recipe) -> RunFolder:
    folder = RunFolder(path)
    sites = {name: hospitals[name] for name in ("lyon", "ghent")}
    lay_out(folder, recipe, sites=sites, unseen={"porto": hospitals["porto"]})
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, hospitals: dict[str, Path]) -> RunFolder:
    folder = new_run(tmp_path_factory.mktemp("runs") / "run", hospitals, tiny())
    with without_charts():
        simulate(folder, images=False)
    return folder


def test_the_federated_choice_is_that_of_the_pooled_kept_cases(finished: RunFolder) -> None:
    model = read_model(finished.model_file)
    network = new_network(model.recipe)
    load_parameters(network, model.parameters)
    sweeps = []
    for name in ("ghent", "lyon"):
        site = read_site(finished.path / "sites" / name / "site.toml")
        kept = own_cases(site, model.recipe, model.template, run="run").validation
        sweeps += [sweep_case(network, case, model.recipe) for case in kept]
    assert len(sweeps) == 3  # half of three, rounded down, and half of four
    choice = model.threshold_choice
    assert choice is not None
    assert choice == choose(
        sum_cases(sweeps), by=model.recipe.inference.threshold_by, split=choice.split
    )
    assert model.threshold == choice.threshold


def test_the_verdict_is_given_at_the_chosen_threshold(finished: RunFolder) -> None:
    model = read_model(finished.model_file)
    facts = json.loads((finished.evaluation / "definition.json").read_text("utf-8"))
    assert facts["threshold"] == model.threshold
    assert model.threshold != 0.62


def test_the_record_of_the_run_knows_the_choice(finished: RunFolder) -> None:
    chosen = read_run(finished.events_file).decision_threshold
    choice = read_model(finished.model_file).threshold_choice
    assert choice is not None
    assert isinstance(chosen, ThresholdChosen)
    assert (chosen.threshold, chosen.mean_dice) == (choice.threshold, choice.mean_dice)


def test_a_run_that_chooses_the_smallest_lesion_uses_it_for_the_verdict(
    tmp_path: Path, hospitals: dict[str, Path]
) -> None:
    recipe = tiny()
    inference = recipe.inference.model_copy(update={"smallest_from": "sites"})
    recipe = recipe.model_copy(update={"inference": inference})
    folder = new_run(tmp_path / "run", hospitals, recipe)
    simulate(folder, images=False)
    model = read_model(folder.model_file)
    assert model.threshold_choice is not None
    assert model.smallest_mm3 in SMALLEST_MM3
    chosen = read_run(folder.events_file).decision_threshold
    assert isinstance(chosen, ThresholdChosen)
    assert chosen.smallest_mm3 == model.smallest_mm3
    facts = json.loads((folder.evaluation / "definition.json").read_text("utf-8"))
    assert facts["smallest_mm3"] == model.smallest_mm3
    assert "mm³ are dropped, which was chosen with it" in (folder.path / "report.html").read_text(
        "utf-8"
    )


def cut_at(kind: str) -> Callable[[RunEvent], None]:
    """A listener that ends the run at the first event of one kind in this phase."""

    def listen(event: RunEvent) -> None:
        if (event.event, getattr(event, "phase", None)) == (kind, "threshold"):
            raise KeyboardInterrupt

    return listen


@pytest.mark.usefixtures("no_charts")
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("reply", id="while the sites sweep"),
        pytest.param("checkpoint", id="before the choice is in the model file"),
    ],
)
def test_a_run_cut_in_this_phase_and_resumed_has_the_same_model_file(
    finished: RunFolder, hospitals: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    cut = new_run(tmp_path / "run", hospitals, tiny())
    with pytest.raises(KeyboardInterrupt):
        simulate(cut, images=False, listener=cut_at(kind))
    assert read_model(cut.model_file).threshold_choice is None
    simulate(cut, images=False)
    model, uncut = read_model(cut.model_file), read_model(finished.model_file)
    assert model.threshold_choice == uncut.threshold_choice
    assert (model.threshold, model.round_index) == (uncut.threshold, uncut.round_index)
    for name, array in uncut.parameters.items():
        np.testing.assert_array_equal(model.parameters[name], array)


def test_sums_over_more_cases_than_were_declared_are_refused(tmp_path: Path) -> None:
    declared = {"lyon": Declared(n_cases=3, lesion_volume_ml=1.0)}
    exchange = Held(tmp_path).exchange(dataclasses.replace(SELECTED, declared=declared))
    exchange.accumulate("lyon", reply(3))
    exchange.accumulate("ghent", reply(4))  # it was not there when sites said what they have
    with pytest.raises(UpdateRejected, match="site lyon: want sums over at most the 3 cases"):
        exchange.accumulate("lyon", reply(10_000_000))
