from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from common.arrays import IndexArray
from common.errors import SiteDataError
from common.learning.lesion_wise.lesion_wise_loss import frozen_metric_network
from common.learning.lesion_wise.metric_network import MetricNetwork, build_metric_network
from common.learning.losses.registry import SEGMENTATION_LOSSES
from common.learning.model import new_network, set_stage
from common.learning.networks.parameters import parameters_of
from common.learning.networks.registry import build_network
from common.learning.networks.site_head import SiteHead, build_site_head
from common.learning.sampling.batch import Batch
from common.learning.sampling.registry import Sampler, build_sampler
from common.learning.training import TrainingOutcome, train_locally
from common.recipe.loss import SegmentationLoss, Tversky
from common.recipe.recipe import Recipe, load_recipe, recipe_from_table, variants_of
from tests.patch_networks import BrainCase

N_SITES = 3


def bright_lesion(*, seed: int) -> BrainCase:
    """Noise of deviation 0.3 on 20 x 18 x 16 voxels, with a box of 5 x 4 x 6 that is 3 brighter."""
    lesions = np.zeros((20, 18, 16), bool)
    lesions[8:13, 6:10, 5:11] = True
    noise = np.random.default_rng(seed).normal(0, 0.3, lesions.shape)
    image = (noise + 3 * lesions)[None].astype(np.float32)
    return BrainCase(image, np.ones_like(lesions), lesions)


CASES = [bright_lesion(seed=0), bright_lesion(seed=1)]


def recipe(
    *,
    steps: int = 3,
    site: str = "uniform",
    dropout: float = 0.0,
    raters: int = 0,
    optimizer: str = "adam",
    segmentation: str = "dice",
    lesion_wise: dict[str, Any] | None = None,
) -> Recipe:
    loss: dict[str, Any] = {
        "segmentation": {"name": segmentation},
        "site": {"name": site, "weight": 0.5},
    }
    if lesion_wise is not None:
        loss["lesion_wise"] = lesion_wise
    table = {
        "name": "tiny",
        "description": "a test",
        "task": {"modalities": ["FLAIR"], "raters": raters},
        "standardization": {"method": "none"},
        "network": {
            "name": "unet",
            "widths": [4, 4, 8, 8],
            "norm": "group",
            "dropout": dropout,
        },
        "loss": loss,
        "sampling": {
            "patch_shape": [16, 16, 16],
            "batch_size": 2,
            "augment": ["mirror-left-right"],
        },
        "optimizer": {
            "name": optimizer,
            "learning_rate": 1.0 if optimizer == "adadelta" else 0.01,
            "steps": steps,
        },
        "federation": {"rounds": 1},
        "compute": {"threads": 1},
    }
    return recipe_from_table(table, where="test")


def cascade_recipe() -> Recipe:
    table = {
        "name": "tiny-cascade",
        "description": "a test",
        "task": {"modalities": ["FLAIR"]},
        "standardization": {"method": "z-score"},
        "network": {"name": "cascade"},
        "loss": {
            "segmentation": {"name": "generalized-dice"},
            "site": {"name": "uniform", "weight": 0.5},
        },
        "sampling": {
            "name": "voxels",
            "patch_shape": [11, 11, 11],
            "batch_size": 4,
            "lesion_share": 0.5,
            "augment": ["half-turn"],
        },
        "optimizer": {"name": "adadelta", "learning_rate": 1.0, "steps": 2},
        "federation": {"rounds": 1},
        "compute": {"threads": 1},
    }
    return recipe_from_table(table, where="test")


def fresh(settings: Recipe) -> tuple[nn.Module, SiteHead]:
    network = build_network(
        settings.network, n_channels=1, n_outputs=settings.task.n_outputs, seed=0
    )
    return network, build_site_head(n_features=8, n_sites=N_SITES, seed=1)


def train(
    settings: Recipe,
    network: nn.Module,
    head: nn.Module | None,
    *,
    seed: int = 5,
    cases: Sequence[BrainCase] = CASES,
    sampler: Sampler | None = None,
    metric_network: MetricNetwork | None = None,
) -> TrainingOutcome:
    return train_locally(
        network,
        head,
        sampler or build_sampler(cases, settings),
        recipe=settings,
        sites=[1] * len(cases),
        round_index=1,
        seed=seed,
        metric_network=metric_network,
    )


def test_a_bright_lesion_is_learned() -> None:
    network, _ = fresh(recipe())
    outcome = train(recipe(steps=30, site="none"), network, None)
    assert np.mean(outcome.losses[:5]) > 0.5
    assert np.mean(outcome.losses[-5:]) < 0.2


@pytest.mark.parametrize("site", ["pearson", "uniform", "random"])
def test_the_same_seed_gives_the_same_parameters_even_with_dropout(site: str) -> None:
    settings = recipe(site=site, dropout=0.3)
    ends = []
    for disturbance in (0, 1):
        torch.manual_seed(disturbance)
        network, head = fresh(settings)
        outcome = train(settings, network, head)
        ends.append((outcome, parameters_of(network) | parameters_of(head)))
    (first, here), (again, there) = ends
    assert first == again
    assert all(np.array_equal(here[name], there[name]) for name in here)


def test_another_seed_gives_other_parameters() -> None:
    ends = []
    for seed in (5, 6):
        network, head = fresh(recipe())
        train(recipe(), network, head, seed=seed)
        ends.append(parameters_of(network)["first.0.weight"])
    assert not np.array_equal(ends[0], ends[1])


def test_training_leaves_the_global_random_numbers_where_they_were() -> None:
    settings = recipe(dropout=0.3, site="random")
    network, head = fresh(settings)
    torch.manual_seed(4)
    before = torch.random.get_rng_state()
    train(settings, network, head)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_outcome_adds_up() -> None:
    network, head = fresh(recipe())
    seen: list[tuple[int, float]] = []
    outcome = train_locally(
        network,
        head,
        build_sampler(CASES, recipe()),
        recipe=recipe(),
        sites=[0] * len(CASES),
        round_index=1,
        seed=5,
        on_step=lambda step, loss: seen.append((step, loss)),
    )
    assert seen == list(zip((1, 2, 3), outcome.losses, strict=True))
    assert outcome.n_steps == 3
    assert outcome.mean_loss == pytest.approx(sum(outcome.losses) / 3)
    assert outcome.mean_site_loss is not None
    assert outcome.mean_site_loss >= np.log(N_SITES)  # the least a uniform target allows
    # the recipe's weight is one half
    assert outcome.mean_loss == pytest.approx(
        outcome.mean_segmentation_loss + outcome.mean_site_loss / 2
    )


def test_the_site_loss_reaches_the_encoder() -> None:
    ends = {}
    for site in ("pearson", "none"):
        network, head = fresh(recipe(site=site))
        train(recipe(site=site, steps=1), network, None if site == "none" else head)
        ends[site] = parameters_of(network)["first.0.weight"]
    assert not np.array_equal(ends["pearson"], ends["none"])


def test_without_a_head_there_is_no_site_loss_whatever_the_recipe_says() -> None:
    network, _ = fresh(recipe())
    outcome = train(recipe(site="uniform"), network, None)
    assert outcome.mean_site_loss is None
    assert outcome.head_spread is None
    assert outcome.mean_loss == outcome.mean_segmentation_loss


def test_a_head_with_a_constant_answer_has_no_spread_and_a_fresh_one_has() -> None:
    network, head = fresh(recipe())
    moving = train(recipe(), network, head)
    assert moving.head_spread is not None
    assert moving.head_spread > 0
    network, head = fresh(recipe())
    # all weights 0: only the last bias gets a gradient, so the answer stays the same for any input
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    assert train(recipe(site="pearson"), network, head).head_spread == pytest.approx(0, abs=1e-7)


def test_a_loss_that_is_not_finite_stops_training() -> None:
    everywhere = np.ones((16, 16, 16), bool)
    case = BrainCase(np.full((1, 16, 16, 16), np.nan, np.float32), everywhere, everywhere)
    network, head = fresh(recipe())
    with pytest.raises(SiteDataError, match=r"step 1 of 3: the loss is nan.*learning_rate"):
        train(recipe(), network, head, cases=[case])


@pytest.mark.parametrize("optimizer", ["adam", "adadelta"])
def test_the_optimizer_is_the_recipe_s_and_the_first_step_has_its_size(optimizer: str) -> None:
    settings = recipe(optimizer=optimizer, steps=1, site="none")
    network, _ = fresh(settings)
    before = parameters_of(network)["first.0.weight"]
    train(settings, network, None)
    step = np.abs(parameters_of(network)["first.0.weight"] - before)
    if optimizer == "adam":
        # g / (sqrt(g²) + 1e-8) * 0.01: every weight moves by the learning rate
        np.testing.assert_allclose(step, 0.01, rtol=0.01)
    else:
        # g sqrt(1e-6) / sqrt(0.1 g² + 1e-6), rho = 0.9: at most sqrt(1e-6 / 0.1)
        assert 0 < step.max() <= 1.001e-3 * np.sqrt(10)


@pytest.mark.parametrize("raters", [0, 2])
@pytest.mark.parametrize("name", sorted(SEGMENTATION_LOSSES))
def test_a_step_down_every_segmentation_loss_is_finite_and_moves_the_network(
    name: str, raters: int
) -> None:
    settings = recipe(segmentation=name, steps=1, site="none", raters=raters)
    network, _ = fresh(settings)
    before = parameters_of(network)
    outcome = train(settings, network, None)
    after = parameters_of(network)
    assert np.isfinite(outcome.mean_segmentation_loss)
    assert all(np.isfinite(array).all() for array in after.values())
    assert not np.array_equal(before["last.weight"], after["last.weight"])


LESION_WISE = {
    "weight": 0.25,
    "widths": [3, 4],
    "n_pairs": 10,
    "steps": 1,
    "batch_size": 2,
    "learning_rate": 0.01,
}


def metric_of(settings: Recipe) -> MetricNetwork:
    """Frozen, as first drawn."""
    assert settings.loss.lesion_wise is not None
    shape = settings.sampling.patch_shape
    drawn = build_metric_network(settings.loss.lesion_wise, patch_shape=shape, seed=2)
    return frozen_metric_network(settings.loss.lesion_wise, parameters_of(drawn), patch_shape=shape)


def test_the_lesion_metric_adds_its_share_and_says_what_it_saw_beside_the_truth() -> None:
    settings = recipe(lesion_wise=LESION_WISE)
    network, head = fresh(settings)
    outcome = train(settings, network, head, metric_network=metric_of(settings))
    assert outcome.estimated_lesion_f1 is not None
    assert outcome.true_lesion_f1 is not None
    assert 0 <= outcome.true_lesion_f1 <= 1
    assert outcome.mean_site_loss is not None
    # L = L_seg + 0.5 L_site + 0.25 (1 - F), each a mean over the same steps
    assert outcome.mean_loss == pytest.approx(
        outcome.mean_segmentation_loss
        + 0.5 * outcome.mean_site_loss
        + 0.25 * (1 - outcome.estimated_lesion_f1)
    )


def test_the_lesion_metric_stays_frozen_and_pulls_on_the_segmenter() -> None:
    # Adam's first step knows signs only: two steps tell the sizes of gradients apart
    with_metric, without = recipe(lesion_wise=LESION_WISE, steps=2), recipe(steps=2)
    metric = metric_of(with_metric)
    before = parameters_of(metric)
    ends = []
    for settings, teacher in ((with_metric, metric), (without, None)):
        network, head = fresh(settings)
        train(settings, network, head, metric_network=teacher)
        ends.append(parameters_of(network)["last.weight"])
    assert not np.array_equal(ends[0], ends[1])
    after = parameters_of(metric)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_without_the_lesion_metric_its_figures_are_undefined() -> None:
    network, _ = fresh(recipe())
    outcome = train(recipe(), network, None)
    assert outcome.estimated_lesion_f1 is None
    assert outcome.true_lesion_f1 is None


class LesionFreePatches:
    """Draws the same patch without a lesion again and again."""

    def draw_batch(self, n_patches: int, random: np.random.Generator) -> Batch:
        image = np.random.default_rng(8).standard_normal((1, 1, 32, 32, 32)).astype(np.float32)
        empty = np.zeros((n_patches, 1, 32, 32, 32), bool)
        return Batch(np.repeat(image, n_patches, 0), empty, np.zeros(n_patches, np.intp))


@pytest.mark.parametrize(
    ("settings", "teaches"),
    [
        *[
            pytest.param(
                load_recipe("hussein2023", variant=variant).loss.segmentation, True, id=variant
            )
            for variant in variants_of("hussein2023")
        ],
        pytest.param(Tversky(name="tversky", over="patch", epsilon=1e-5), False, id="1e-5"),
    ],
)
def test_lesion_free_patches_alone_teach_hussein_s_losses_to_leave_them_empty(
    settings: SegmentationLoss, teaches: bool
) -> None:
    table = recipe(steps=10, site="none").model_dump()
    table["loss"]["segmentation"] = settings.model_dump()
    changed = Recipe.from_table(table, where="test")
    network, _ = fresh(changed)
    train(changed, network, None, sampler=LesionFreePatches())
    images = LesionFreePatches().draw_batch(1, np.random.default_rng(0)).images
    with torch.inference_mode():
        mean = torch.sigmoid(network.eval()(torch.from_numpy(images))[0]).mean().item()
    # the untrained network begins at about one half
    assert mean < 0.4 if teaches else mean > 0.45


def dark_voxels() -> list[IndexArray]:
    """Flat positions without lesion, one array a case."""
    found = []
    for case in CASES:
        assert case.lesions is not None
        found.append(np.flatnonzero(~case.lesions))
    return found


@pytest.mark.parametrize(("stage", "other"), [("first", "second"), ("second", "first")])
def test_one_stage_of_a_cascade_trains_and_the_other_stays_as_it_was(
    stage: Any, other: str
) -> None:
    settings = cascade_recipe()
    network = new_network(settings)
    set_stage(network, stage)
    head = build_site_head(n_features=256, n_sites=N_SITES, seed=1)
    before = parameters_of(network)
    outcome = train(
        settings,
        network,
        head,
        sampler=build_sampler(CASES, settings, negatives=dark_voxels()),
    )
    after = parameters_of(network)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert not {name for name in changed if name.startswith(f"{other}.")}
    assert f"{stage}.dense_2.weight" in changed
    assert f"{stage}.norm_1.running_mean" in changed
    assert outcome.mean_site_loss is not None


def test_a_cascade_with_dropout_repeats_with_its_seed() -> None:
    settings = cascade_recipe()
    ends = []
    for disturbance in (0, 1):
        torch.manual_seed(disturbance)
        network = new_network(settings)
        sampler = build_sampler(CASES, settings, negatives=dark_voxels())
        train(settings, network, None, sampler=sampler)
        ends.append(parameters_of(network))
    assert all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0])
