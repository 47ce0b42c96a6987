from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from client.phases import training
from client.phases.lesion_metric import store_lesion_metric
from client.phases.site_cases import own_cases
from client.phases.training import mean_dice, train
from client.site.settings import Policy, Site, read_site
from common.errors import SiteDataError, WireError
from common.learning.hard_negatives import hard_negatives, random_negatives
from common.learning.lesion_wise.metric_network import build_metric_network
from common.learning.model import initial_parameters, new_network
from common.learning.networks.cascade import Cascade
from common.learning.networks.parameters import parameters_of
from common.recipe.recipe import Recipe, load_recipe
from common.wire.field_types import Stage
from common.wire.messages import Assignment, LesionMetricRequest, TrainRequest
from tests.toy_sites import write_site

TINY = (
    "standardization.method=z-score",
    "optimizer.steps=1",
    "federation.site_validation_share=0.5",
    "inference.overlap=0",
    "compute.threads=1",
)
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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two subjects: one trains, one is kept."""
    folder = tmp_path_factory.mktemp("hospital")
    return read_site(write_site(folder, name="lyon", seed=0, n_subjects=2))


def cascade_recipe() -> Recipe:
    overrides = ["network.candidates_above=1.2", "sampling.batch_size=8"]
    return load_recipe("galassi2019", overrides=[*TINY, *overrides])


def unet_recipe(*overrides: str) -> Recipe:
    sizes = ["network.widths=[4, 4, 8, 8]", "network.first_stride=1"]
    patches = ["sampling.patch_shape=[32, 32, 16]", "sampling.batch_size=2"]
    return load_recipe("default", overrides=[*TINY, *sizes, *patches, *overrides])


def request(recipe: Recipe, stage: Stage = "whole") -> TrainRequest:
    return TrainRequest(
        assignment=dataclasses.replace(ASSIGNMENT, recipe=recipe.canonical_json()),
        template={},
        parameters=initial_parameters(recipe, n_sites=2),
        stage=stage,
    )


@pytest.mark.parametrize("stage", ["first", "second"])
def test_each_stage_of_a_cascade_changes_its_own_network_alone(site: Site, stage: Stage) -> None:
    recipe = cascade_recipe()
    update = train(request(recipe, stage), recipe, site)
    changed = {name for name, array in update.change.items() if np.any(array)}
    assert changed
    assert all(name.startswith(f"network.{stage}.") for name in changed)
    assert update.change.keys() == initial_parameters(recipe, n_sites=2).keys()
    assert update.n_cases == update.n_validation_cases == 1


@pytest.mark.parametrize("stage", ["first", "second"])
def test_the_first_network_learns_from_bright_voxels_the_second_from_the_firsts_mistakes(
    site: Site, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = cascade_recipe()
    network = new_network(recipe)
    assert isinstance(network, Cascade)
    [case] = own_cases(site, recipe, {}, run="run").training
    seen: list[np.ndarray] = []

    def sampler(*_: object, negatives: list[np.ndarray]) -> None:
        seen.extend(negatives)
        raise KeyboardInterrupt

    monkeypatch.setattr("client.phases.training.build_sampler", sampler)
    with pytest.raises(KeyboardInterrupt):
        train(request(recipe, stage), recipe, site)
    bright = random_negatives(case, above=1.2)
    mistaken = hard_negatives(network.first, case, recipe.network)  # type: ignore[arg-type]  # a cascade's
    assert 0 < mistaken.size < bright.size
    np.testing.assert_array_equal(seen, [bright if stage == "first" else mistaken])


@pytest.mark.parametrize(
    ("patches", "asked", "steps"),
    [
        pytest.param(7, None, 4, id="7 patches of one training subject, two a step"),
        pytest.param(7, 3, 3, id="fewer were asked for"),
    ],
)
def test_the_steps_are_those_that_see_so_many_patches_of_each_training_subject(
    site: Site, monkeypatch: pytest.MonkeyPatch, patches: int, asked: int | None, steps: int
) -> None:
    seen: list[int] = []

    def train_locally(*_: object, recipe: Recipe, **__: object) -> None:
        seen.append(recipe.optimizer.fixed_steps)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_locally", train_locally)
    recipe = unet_recipe(f"optimizer.steps={{patches_per_subject = {patches}}}")
    with pytest.raises(KeyboardInterrupt):
        train(dataclasses.replace(request(recipe), steps=asked), recipe, site)
    assert seen == [steps]


def test_more_steps_than_the_site_has_by_its_subjects_are_refused(site: Site) -> None:
    recipe = unet_recipe("optimizer.steps={patches_per_subject = 7}")
    with pytest.raises(WireError, match="want at most the recipe's 4 steps, got 5"):
        train(dataclasses.replace(request(recipe), steps=5), recipe, site)


def test_the_kept_cases_are_scored_with_what_came_before_training(site: Site) -> None:
    recipe = unet_recipe()
    update = train(request(recipe), recipe, site)
    kept = own_cases(site, recipe, {}, run="run").validation
    assert update.validation_dice == mean_dice(new_network(recipe), kept, recipe)
    assert update.n_validation_cases == 1
    assert update.estimated_lesion_f1 is None


def test_the_kept_cases_dice_does_not_leave_where_too_few_subjects_have_one(site: Site) -> None:
    """One subject is kept: its mean is its own Dice."""
    recipe = unet_recipe()
    strict = site.model_copy(update={"policy": Policy(min_subjects=2)})
    update = train(request(recipe), recipe, strict)
    assert (update.validation_dice, update.n_validation_cases) == (None, 0)


def test_mean_dice_is_undefined_where_no_case_has_a_lesion(site: Site) -> None:
    recipe = unet_recipe()
    network = new_network(recipe)
    [case] = own_cases(site, recipe, {}, run="run").training
    assert case.lesions is not None
    free = dataclasses.replace(case, lesions=np.zeros_like(case.lesions))
    assert mean_dice(network, [free], recipe) is None
    assert mean_dice(network, [], recipe) is None
    assert mean_dice(network, [case, free], recipe) == mean_dice(network, [case], recipe)


def wise_recipe(*, from_round: int = 1) -> Recipe:
    sizes = "n_pairs=10, steps=1, batch_size=2, learning_rate=1e-3, widths=[4, 4]"
    return unet_recipe(f"loss.lesion_wise={{from_round={from_round}, {sizes}}}")


def kept_digest(recipe: Recipe, site: Site) -> str:
    """Of a lesion metric that the site keeps from now on."""
    settings = recipe.loss.lesion_wise
    assert settings is not None
    network = build_metric_network(settings, patch_shape=recipe.sampling.patch_shape, seed=1)
    parameters = dict(parameters_of(network))
    given = LesionMetricRequest(assignment=ASSIGNMENT, parameters=parameters)
    return store_lesion_metric(given, recipe, site).digest


def test_the_stored_lesion_metric_judges_and_its_estimate_is_reported(site: Site) -> None:
    recipe = wise_recipe()
    asked = dataclasses.replace(request(recipe), lesion_metric=kept_digest(recipe, site))
    update = train(asked, recipe, site)
    assert update.estimated_lesion_f1 is not None
    assert update.true_lesion_f1 is not None
    assert 0 <= update.estimated_lesion_f1 <= 1
    assert 0 <= update.true_lesion_f1 <= 1


def test_before_its_round_the_lesion_metric_neither_judges_nor_tells(site: Site) -> None:
    """Round 1 with F from round 2 on is the round of a recipe without F, from the same seed."""
    recipe = wise_recipe(from_round=2)
    asked = dataclasses.replace(request(recipe), lesion_metric=kept_digest(recipe, site))
    update = train(asked, recipe, site)
    assert update.estimated_lesion_f1 is None
    assert update.true_lesion_f1 is None
    without = unet_recipe()
    assert update.loss == train(request(without), without, site).loss


@pytest.mark.parametrize("from_round", [1, 2])
def test_a_site_without_the_lesion_metric_is_known_in_the_first_round(
    site: Site, tmp_path: Path, from_round: int
) -> None:
    recipe = wise_recipe(from_round=from_round)
    absent = site.model_copy(update={"work": tmp_path / "work"})
    asked = dataclasses.replace(request(recipe), lesion_metric="ab" * 32)
    with pytest.raises(SiteDataError, match="is not there as it was given") as caught:
        train(asked, recipe, absent)
    assert caught.value.code == "no-lesion-metric"


def test_a_coordinator_that_names_no_lesion_metric_is_refused(site: Site) -> None:
    recipe = wise_recipe()
    with pytest.raises(SiteDataError, match="names no network for it") as caught:
        train(request(recipe), recipe, site)
    assert caught.value.code == "no-lesion-metric"
