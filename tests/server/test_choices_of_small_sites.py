"""Whole runs over sites as small as hospitals are: is a round chosen, and a threshold?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from common.model_file import read_model
from common.recipe.recipe import load_recipe
from common.settings import read_toml
from server.events.history import RunHistory, read_run
from server.events.run_event import RunEvent
from server.report.verdict import missed_choices
from server.run.checkpoint import load_checkpoint
from server.run.run_folder import RunFolder
from server.simulate import lay_out, simulate
from tests.no_charts import without_charts
from tests.toy_sites import write_site

TINY = (
    "standardization.method=z-score",
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    "sampling.batch_size=1",
    "optimizer.steps=1",
    "federation.rounds=2",
    "federation.evaluate_every=1",
    "inference.overlap=0",
    "compute.threads=1",
)
"""The recipe's own shares: a fifth of eight subjects, rounded to two, at each of four sites."""


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> BIDS folder of four hospitals of eight subjects; not to be changed."""
    base = tmp_path_factory.mktemp("hospitals")
    return {
        name: write_site(base / name, name=name, seed=seed, label=name, n_subjects=8).parent
        / "bids"
        for seed, name in enumerate(("lyon", "ghent", "porto", "turin"))
    }


def new_run(
    path: Path,
    hospitals: dict[str, Path],
    *,
    sums_count: str,
    min_subjects: int = 5,
    overrides: Sequence[str] = (),
) -> RunFolder:
    """A run whose hospitals have the default minimum of 5 subjects, or another."""
    folder = RunFolder(path)
    lay_out(folder, load_recipe("default", overrides=[*TINY, *overrides]), sites=hospitals)
    for name in hospitals:
        file = folder.path / "sites" / name / "site.toml"
        policy = {"min_subjects": min_subjects, "sums_count": sums_count}
        file.write_text(tomli_w.dumps({**read_toml(file), "policy": policy}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory, hospitals: dict[str, Path]) -> RunFolder:
    folder = new_run(tmp_path_factory.mktemp("runs") / "run", hospitals, sums_count="federation")
    with without_charts():
        simulate(folder, images=False)
    return folder


def test_sites_of_eight_that_count_the_federations_subjects_choose_round_and_threshold(
    pooled: RunFolder,
) -> None:
    history = read_run(pooled.events_file)
    for name in ("round", "threshold"):
        announced = history.announced[name]
        assert (announced.n_subjects, announced.n_sites, announced.otherwise) == (8, 4, None)
    assert {r: v.n_cases for r, v in history.site_validations.items()} == {1: 8, 2: 8}
    best = max(history.site_validations.values(), key=lambda v: (v.mean_dice, -v.round))
    assert history.selected is not None
    assert (history.selected.round, history.selected.score) == (best.round, best.mean_dice)
    assert history.selected.by == "mean Dice on the cases that sites keep for validation"
    chosen = read_model(pooled.model_file).threshold_choice
    assert chosen is not None
    assert chosen.n_cases == 8
    assert missed_choices(history) == []


def test_no_figure_of_a_site_below_its_minimum_is_recorded(pooled: RunFolder) -> None:
    history = read_run(pooled.events_file)
    of_sites = [r for r in history.rounds.values() if r.phase in ("validation", "threshold")]
    assert len(of_sites) == 3
    assert all(reply.facts == {} for r in of_sites for reply in r.replies.values())
    for trained in history.training:
        for reply in trained.replies.values():
            assert reply.fact("validation_dice") is None
            assert reply.fact("n_validation_cases") == 0


def test_sites_of_eight_that_count_their_own_subjects_say_at_the_start_that_nothing_is_chosen(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    said: list[str] = []

    def listen(event: RunEvent) -> None:
        said.append(event.event)

    folder = new_run(tmp_path / "run", hospitals, sums_count="site")
    simulate(folder, images=False, listener=listen)
    assert said.count("choice-announced") == 2
    assert said.index("choice-announced") < said.index("selected")
    history = read_run(folder.events_file)
    assert history.site_validations == {}
    assert not any(phase == "validation" for phase, _ in history.rounds)
    assert read_model(folder.model_file).round_index == 2
    no_round, no_threshold = missed_choices(history)
    assert no_round.startswith("No round was chosen: the last one is the result.")
    assert no_threshold.startswith("No decision threshold was chosen: the recipe's 0.5 stays.")
    page = (folder.path / "report.html").read_text("utf-8")
    verdict = page[
        page.index('id="verdict"') : page.index("</section>", page.index('id="verdict"'))
    ]
    assert "No round was chosen" in verdict
    assert "policy.sums_count" in verdict


# runs that are cut off around the choice of the round


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> BIDS folder of two hospitals of two subjects; not to be changed."""
    base = tmp_path_factory.mktemp("pairs")
    return {
        name: write_site(base / name, name=name, seed=seed, label=name).parent / "bids"
        for seed, name in enumerate(("lyon", "ghent"))
    }


def run_of_pairs(path: Path, pairs: dict[str, Path]) -> RunFolder:
    """One subject of each hospital chooses, and both want two."""
    overrides = ["federation.site_validation_share=0.4", "federation.rounds=3"]
    return new_run(path, pairs, sums_count="federation", min_subjects=2, overrides=overrides)


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: pytest.TempPathFactory, pairs: dict[str, Path]) -> RunFolder:
    folder = run_of_pairs(tmp_path_factory.mktemp("runs") / "uncut", pairs)
    with without_charts():
        simulate(folder, images=False)
    return folder


def cut_at(kind: str, phase: str, round_index: int) -> Callable[[RunEvent], None]:
    def listen(event: RunEvent) -> None:
        at = (event.event, getattr(event, "phase", None), getattr(event, "round", None))
        if at == (kind, phase, round_index):
            raise KeyboardInterrupt

    return listen


@pytest.mark.usefixtures("no_charts")
@pytest.mark.parametrize(
    ("kind", "phase", "round_index"),
    [
        pytest.param("reply", "validation", 1, id="while the sites score the first round"),
        pytest.param("checkpoint", "training", 1, id="before the round is selected"),
        pytest.param("round-started", "training", 2, id="after the first was selected"),
    ],
)
def test_a_run_cut_around_the_choice_of_the_round_ends_as_the_uncut_one(
    uncut: RunFolder,
    pairs: dict[str, Path],
    tmp_path: Path,
    kind: str,
    phase: str,
    round_index: int,
) -> None:
    assert len(read_run(uncut.events_file).site_validations) == 3
    cut = run_of_pairs(tmp_path / "run", pairs)
    with pytest.raises(KeyboardInterrupt):
        simulate(cut, images=False, listener=cut_at(kind, phase, round_index))
    simulate(cut, images=False)
    assert choices(read_run(cut.events_file)) == choices(read_run(uncut.events_file))
    ours, theirs = load_checkpoint(cut.checkpoints), load_checkpoint(uncut.checkpoints)
    assert ours is not None
    assert theirs is not None
    assert (ours.selected, ours.threshold_choice) == (theirs.selected, theirs.threshold_choice)
    for name, array in theirs.parameters.items():
        np.testing.assert_array_equal(ours.parameters[name], array)


def choices(history: RunHistory) -> object:
    """The rounds that count, and what was found in them."""
    found = {r: (v.mean_dice, v.n_cases) for r, v in history.site_validations.items()}
    return list(history.rounds), found, history.selected and history.selected.round
