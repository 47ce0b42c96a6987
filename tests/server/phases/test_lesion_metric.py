from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from common.errors import ConfigError, UpdateRejected
from common.imaging.volume import Volume, write_volume
from common.recipe.recipe import Recipe, load_recipe
from common.wire.messages import Assignment, LesionMetricKept, LesionMetricRequest, SiteUpdate
from server.events.event_log import EventLog
from server.phases.lesion_metric import LesionMetricPhase
from server.phases.training import TrainingPhase
from server.run.run_state import RunState

ASSIGNMENT = Assignment(
    run="r",
    phase="lesion-metric",
    round_index=1,
    recipe="{}",
    code_digest="c",
    site="lyon",
    site_index=0,
    n_sites=1,
    exchange_id="0" * 32,
)
NO_EVENTS = EventLog(Path("never-written.jsonl"))
UPDATE = SiteUpdate(
    n_cases=1,
    lesion_volume_ml=1.0,
    loss=0.5,
    segmentation_loss=0.5,
    site_loss=None,
    estimated_lesion_f1=None,
    true_lesion_f1=None,
    validation_dice=None,
    n_validation_cases=0,
    wall_s=1.0,
    change={},
)
TRAINED = "server.phases.lesion_metric.train_metric_network"


def tiny(*overrides: str) -> Recipe:
    settings = (
        "sampling.patch_shape=[16, 16, 32]",
        "network.norm=group",
        "loss.lesion_wise.widths=[4, 4]",
        "loss.lesion_wise.n_pairs=10",
        "loss.lesion_wise.steps=3",
        "loss.lesion_wise.batch_size=2",
        "compute.threads=1",
    )
    return load_recipe("kamraoui2021", overrides=[*settings, *overrides])


class Held:
    """One lesion-metric phase in a folder."""

    def __init__(self, folder: Path, *, masks: Path | None = None, seed: int = 0) -> None:
        self.file = folder / "lesion-metric.safetensors"
        self.events_file = folder / "events.jsonl"
        self.phase = LesionMetricPhase(
            tiny(f"seed={seed}"), file=self.file, masks=masks, events=EventLog(self.events_file)
        )

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = self.events_file.read_text("utf-8").splitlines()
        return [event for line in lines if (event := json.loads(line))["event"] == kind]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Held:
    held = Held(tmp_path_factory.mktemp("run"))
    assert held.phase.begin(RunState()) == RunState()
    return held


def test_the_network_is_trained_with_its_progress_and_its_figures_reported(begun: Held) -> None:
    steps = [(event["step"], event["n_steps"]) for event in begun.events("lesion-metric-step")]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    [figures] = begun.events("lesion-metric")
    with safetensors.safe_open(begun.file, framework="numpy") as file:
        kept = json.loads(file.metadata()["figures"])
    assert kept == {name: figures[name] for name in kept}
    assert 0 <= kept["mae"] <= 1
    assert figures["accepted"] is False  # after three steps
    assert figures["patch_shape"] == [16, 16, 32]  # the recipe's own, which the figures are for


def test_a_run_stops_where_the_metric_misses_its_aims_and_the_recipe_says_so(
    tmp_path: Path,
) -> None:
    recipe = tiny("loss.lesion_wise.on_missed_aims=stop")
    file, log = tmp_path / "lesion-metric.safetensors", tmp_path / "events.jsonl"
    phase = LesionMetricPhase(recipe, file=file, masks=None, events=EventLog(log))
    for _ in range(2):  # resumed it learns the same again, and stops again
        with pytest.raises(ConfigError, match=r"on \d+ pairs .* \(16 x 16 x 32 voxels\): mean"):
            phase.begin(RunState())
        assert not file.exists()


def test_a_network_that_lies_in_the_run_folder_is_not_trained_again(
    begun: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(*_: object, **__: object) -> None:
        raise AssertionError("trained a second time")

    monkeypatch.setattr(TRAINED, trained)
    before = begun.file.read_bytes()
    begun.phase.begin(RunState())
    assert begun.file.read_bytes() == before


def test_one_seed_gives_one_network_and_another_seed_another(begun: Held, tmp_path: Path) -> None:
    for name, seed, alike in (("again", 0, True), ("other", 1, False)):
        (tmp_path / name).mkdir()
        held = Held(tmp_path / name, seed=seed)
        held.phase.begin(RunState())
        one, two = (safetensors.numpy.load_file(h.file) for h in (begun, held))
        assert all(np.array_equal(one[key], two[key]) for key in one) == alike


def test_every_site_gets_the_network_once_and_the_state_its_digest(begun: Held) -> None:
    round_ = begun.phase.round(RunState())
    exchange = next(round_)
    request = exchange.request(ASSIGNMENT)
    assert isinstance(request, LesionMetricRequest)
    assert exchange.roles == ("train",)
    # the site's own way to the digest: of what came, whatever the run folder's file says beside it
    digest = hashlib.sha256(safetensors.numpy.save(request.parameters)).hexdigest()
    assert exchange.accumulate("lyon", LesionMetricKept(digest=digest)) == {}
    with pytest.raises(StopIteration) as ended:
        next(round_)
    assert ended.value.value == RunState(lesion_metric=digest)


def test_a_site_that_keeps_something_else_is_refused_by_name(begun: Held) -> None:
    exchange = next(begun.phase.round(RunState()))
    words = "site ghent: want the lesion metric under [0-9a-f]{12}, it keeps abababababab"
    with pytest.raises(UpdateRejected, match=words):
        exchange.accumulate("ghent", LesionMetricKept(digest="ab" * 32))


def replies_of(phase: TrainingPhase, state: RunState) -> list[type]:
    """What each exchange of one round asks for; one site of two trains."""
    asked = []
    for exchange in phase.round(state):
        asked.append(exchange.reply)
        if exchange.reply is SiteUpdate:
            change = {name: np.zeros_like(array) for name, array in state.parameters.items()}
            exchange.accumulate("lyon", dataclasses.replace(UPDATE, change=change))
    return asked


def test_a_site_that_could_not_train_gets_it_again_before_the_next_round(begun: Held) -> None:
    """Two sites, of which one trains: the metric has just gone out before the first round only."""
    state = RunState(lesion_metric=safetensors_digest(begun.file))
    phase = TrainingPhase(tiny(), n_sites=2, events=NO_EVENTS, lesion_metric_file=begun.file)
    state = phase.begin(state)
    assert replies_of(phase, state) == [SiteUpdate]
    assert replies_of(phase, state) == [LesionMetricKept, SiteUpdate]


def test_where_every_site_trains_it_goes_out_again_only_once_the_run_is_resumed(
    begun: Held,
) -> None:
    recipe = tiny()
    state = RunState(lesion_metric=safetensors_digest(begun.file))
    state = TrainingPhase(recipe, n_sites=1, events=NO_EVENTS).begin(state)
    resumed = TrainingPhase(  # does not begin
        recipe, n_sites=1, events=NO_EVENTS, lesion_metric_file=begun.file
    )
    exchange = next(resumed.round(state))
    assert isinstance(exchange.request(ASSIGNMENT), LesionMetricRequest)
    assert (exchange.quorum, exchange.phase) == (0, "lesion-metric")
    with pytest.raises(UpdateRejected, match="site ghent: want the lesion metric"):
        exchange.accumulate("ghent", LesionMetricKept(digest="ab" * 32))
    assert replies_of(resumed, state) == [LesionMetricKept, SiteUpdate]
    assert replies_of(resumed, state) == [SiteUpdate]


def safetensors_digest(file: Path) -> str:
    return hashlib.sha256(safetensors.numpy.save(safetensors.numpy.load_file(file))).hexdigest()


def test_it_learns_from_a_folder_of_masks_where_one_is_given(
    begun: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bar of 2 x 9 x 3 voxels is the only lesion there is. Ten pairs: the fewest masks, 20."""
    mask = np.zeros((20, 24, 28), bool)
    mask[5:7, 8:17, 11:14] = True
    (tmp_path / "masks").mkdir()
    for name in ("a", "b"):
        volume = Volume(mask, np.diag([1.2, 1.0, 2.0, 1.0]))
        write_volume(volume, tmp_path / "masks" / f"{name}.nii.gz")
    seen: list[np.ndarray] = []

    def trained(*_: object, masks: tuple[np.ndarray, np.ndarray], **__: object) -> None:
        seen.extend(masks)
        raise KeyboardInterrupt

    monkeypatch.setattr(TRAINED, trained)
    held = Held(tmp_path, masks=tmp_path / "masks")
    with pytest.raises(KeyboardInterrupt):
        held.phase.begin(RunState())
    assert not held.file.exists()  # a training that is cut off leaves none
    for patches in seen:
        assert patches.shape == (20, 16, 16, 32)
        assert all(0 < patch.sum() <= 2 * 9 * 3 for patch in patches)
