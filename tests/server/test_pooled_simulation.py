"""Runs in which one site holds the data of all: what it trains on, and that each patch keeps its
site's index."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from client.phases.site_cases import own_cases, sites_of
from client.site.settings import Site, read_site
from common.errors import ConfigError, SiteDataError
from common.imaging.dataset.split import PARTS
from common.recipe.recipe import Recipe, load_recipe
from common.wire.messages import Assignment
from server.events.run_event import RunEvent
from server.run.checkpoint import load_checkpoint
from server.run.pooled_site import POOLED_DATA, pooled_prefixes, pooled_recipe
from server.run.run_folder import RunFolder
from server.simulate import lay_out, simulate
from tests.toy_sites import write_site

TINY = (
    'loss.site={name = "uniform", weight = 0.3}',
    "standardization.method=z-score",
    "network.widths=[4, 4, 8, 8]",
    "network.first_stride=1",
    "sampling.patch_shape=[32, 32, 32]",
    "optimizer.steps=2",
    "federation.rounds=2",
    "federation.evaluate_every=2",
    "compute.threads=1",
)
TRAIN = ("lyon", "ghent", "turin")
ASSIGNMENT = Assignment(
    run="r",
    phase="training",
    round_index=1,
    recipe="{}",
    code_digest="c",
    site="pooled",
    site_index=0,
    n_sites=3,
    exchange_id="0" * 32,
)


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three that train, of 3, 4 and 5 subjects, and porto; not to be changed."""
    base = tmp_path_factory.mktemp("hospitals")
    return {
        name: write_site(base / name, name=name, seed=seed, label=name, n_subjects=3 + seed).parent
        / "bids"
        for seed, name in enumerate((*TRAIN, "porto"))
    }


def recipe(*overrides: str) -> Recipe:
    return load_recipe("default", overrides=[*TINY, *overrides])


def pooled_run(path: Path, hospitals: dict[str, Path], settings: Recipe) -> RunFolder:
    folder = RunFolder(path)
    lay_out(
        folder,
        pooled_recipe(settings, n_sites=3),
        sites={name: hospitals[name] for name in TRAIN},
        unseen={"porto": hospitals["porto"]},
        pooled_in=path / POOLED_DATA / "pooled",
    )
    return folder


def pooled_site(folder: RunFolder) -> Site:
    return read_site(folder.path / "sites" / "pooled" / "site.toml")


@pytest.fixture(scope="module")
def laid_out(hospitals: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return pooled_run(tmp_path_factory.mktemp("runs") / "pooled", hospitals, recipe())


@pytest.mark.parametrize("split", ["random", "balanced"])
def test_every_subject_is_in_the_part_in_which_it_is_at_its_own_site(
    hospitals: dict[str, Path], laid_out: RunFolder, tmp_path: Path, split: str
) -> None:
    shares = ("federation.site_validation_share=0.3", "federation.site_threshold_share=0.3")
    settings = recipe(f"federation.split={split}", *shares)
    together = own_cases(pooled_site(laid_out), settings, {}, run="run")
    prefixes = pooled_prefixes(TRAIN)
    alone = {
        name: own_cases(
            Site(name=name, data=hospitals[name], work=tmp_path / name), settings, {}, run="run"
        )
        for name in TRAIN
    }
    for part in PARTS:
        expected = [
            case.subject.replace("sub-", prefixes[name])
            for name, of_site in alone.items()
            for case in getattr(of_site, part)
        ]
        assert [case.subject for case in getattr(together, part)] == expected
    assert together.validation  # 0 of 3, 1 of 4 and 1 of 5
    assert together.threshold


def test_each_case_has_its_own_sites_index_and_a_hospital_has_one(laid_out: RunFolder) -> None:
    site = pooled_site(laid_out)
    cases = own_cases(site, recipe("federation.site_validation_share=0.1"), {}, run="run").training
    assert sites_of(cases, ASSIGNMENT, site) == [0] * 3 + [1] * 4 + [2] * 5
    hospital = site.model_copy(update={"pooled_from": ()})
    assert sites_of(cases[:2], ASSIGNMENT, hospital) == [0, 0]


def test_an_index_beyond_the_heads_outputs_is_refused(laid_out: RunFolder) -> None:
    with pytest.raises(ConfigError, match=r"want indices for 3 sites .* the coordinator has 2"):
        sites_of([], dataclasses.replace(ASSIGNMENT, n_sites=2), pooled_site(laid_out))


def test_a_case_of_no_known_site_is_refused(laid_out: RunFolder) -> None:
    site = pooled_site(laid_out)
    fewer = site.model_copy(update={"pooled_from": site.pooled_from[:2]})
    with pytest.raises(SiteDataError, match=r"sub-3turin\w+ has none of the prefixes"):
        own_cases(fewer, recipe(), {}, run="run")


def test_the_head_tells_as_many_sites_as_there_are_folders_and_the_steps_are_those_of_all(
    laid_out: RunFolder,
) -> None:
    consortium = laid_out.consortium()
    assert [(site.name, site.pooled_from) for site in consortium.sites] == [("pooled", TRAIN)]
    assert consortium.n_head_outputs == 3
    assert laid_out.recipe().optimizer.steps == 6  # 2 at each of three sites


def test_leakage_between_a_pooled_and_an_unseen_site_is_found(
    hospitals: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="lyon"):
        lay_out(
            RunFolder(tmp_path / "run"),
            recipe(),
            sites={name: hospitals[name] for name in TRAIN},
            unseen={"again": hospitals["lyon"]},
            pooled_in=tmp_path / "run" / POOLED_DATA / "pooled",
        )


@pytest.mark.usefixtures("no_charts")
def test_a_pooled_run_that_was_cut_and_resumed_equals_an_uninterrupted_one(
    laid_out: RunFolder, hospitals: dict[str, Path], tmp_path: Path
) -> None:
    cut = pooled_run(tmp_path / "cut", hospitals, recipe())
    simulate(laid_out, images=False)

    def stop(event: RunEvent) -> None:
        if event.event == "checkpoint":
            seen.append(event)
            if len(seen) == 4:
                raise KeyboardInterrupt

    seen: list[RunEvent] = []
    with pytest.raises(KeyboardInterrupt):
        simulate(cut, images=False, listener=stop)
    simulate(cut, images=False)
    whole, resumed = load_checkpoint(laid_out.checkpoints), load_checkpoint(cut.checkpoints)
    assert whole is not None
    assert resumed is not None
    last = max(name for name in whole.parameters if name.startswith("head.") and "bias" in name)
    assert whole.parameters[last].shape == (3,)
    for name, array in whole.parameters.items():
        np.testing.assert_array_equal(array, resumed.parameters[name])
