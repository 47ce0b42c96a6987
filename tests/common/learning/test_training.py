from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

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
from common.learning.site_gradient import Added, SiteGradient
from common.learning.training import TrainingOutcome, train_locally
from common.recipe.loss import SegmentationLoss, Tversky
from common.recipe.recipe import Recipe, load_recipe, recipe_from_table, variants_of
from common.wire.feature_summary import FeatureSummary, KnownFeatures
from tests.patch_networks import BrainCase

N_SITES = 3


def bright_lesion(*, seed: int) -> BrainCase:
    """Noise of deviation 0.3 on 20 x 18 x 16 voxels, with a box of 5 x 4 x 6 that is 3 brighter."""
    lesions = np.zeros((20, 18, 16), bool)
    lesions[8:13, 6:10, 5:11] = True
    noise = np.random.default_rng(seed).normal(0, 0.3, lesions.shape)
    image = (noise + 3 * lesions)[None].astype(np.float32)
    return BrainCase(image, np.ones_like(lesions), lesions)


def summary(mean: float) -> FeatureSummary:
    """Of eight features, each with this mean and a variance of its own."""
    variance = tuple(0.25 + 0.25 * i for i in range(8))
    return FeatureSummary(mean=(mean,) * 8, variance=variance)


FEDERATED = ("fed_confusion", "fedharmony", "moment_align")
KNOWN = KnownFeatures(
    sites=(0, 1, 2), pooled=summary(-1.0), others={0: summary(3.0), 2: summary(-3.0)}
)
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
    weight: float = 0.5,
    bound: float | None = None,
    proximal: float = 0.0,
) -> Recipe:
    settings: dict[str, Any] = {"name": site, "weight": weight, "proximal": proximal}
    if bound is not None:
        settings["gradient_bound"] = bound
    if site in FEDERATED:
        settings["ramp_rounds"] = 2
    loss: dict[str, Any] = {"segmentation": {"name": segmentation}, "site": settings}
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
    round_index: int = 1,
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
        round_index=round_index,
        seed=seed,
        known=KNOWN,
        summaries={1: summary(0.25)},
        metric_network=metric_network,
    )


def test_a_bright_lesion_is_learned() -> None:
    network, _ = fresh(recipe())
    outcome = train(recipe(steps=30, site="none"), network, None)
    assert np.mean(outcome.losses[:5]) > 0.5
    assert np.mean(outcome.losses[-5:]) < 0.2


@pytest.mark.parametrize("site", ["pearson", "uniform", "random", *FEDERATED])
def test_the_same_seed_gives_the_same_parameters_even_with_dropout(site: str) -> None:
    settings = recipe(site=site, dropout=0.3)
    ends = []
    for disturbance in (0, 1):
        torch.manual_seed(disturbance)
        network, head = fresh(settings)
        outcome = train(settings, network, head, round_index=2)
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
    assert outcome.site_gradient_ratio is None
    assert outcome.mean_loss == outcome.mean_segmentation_loss


class Recorded(SiteGradient):
    """Writes down the length of what each step adds to the encoder, over that of the others'."""

    added: ClassVar[list[float]] = []

    def add(self, weighted_loss: torch.Tensor) -> Added:
        before = [None if p.grad is None else p.grad.clone() for p in self._network]
        found = super().add(weighted_loss)
        reached = [
            (p.grad - b, b)
            for p, b in zip(self._network, before, strict=True)
            if p.grad is not None and b is not None and not torch.equal(p.grad, b)
        ]
        lengths = [torch.cat([pair[i].flatten() for pair in reached]).norm() for i in (0, 1)]
        self.added.append(float(lengths[0] / lengths[1]))
        return found


@pytest.mark.parametrize("name", ["pearson", "random", "uniform", *FEDERATED])
def test_the_bound_holds_in_every_step_whatever_the_weight(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the bound each step adds a tenth of the others' gradient; without it, far more."""
    monkeypatch.setattr("common.learning.training.SiteGradient", Recorded)
    longest = {}
    for bound in (0.1, None):
        settings = recipe(site=name, weight=1000.0, bound=bound, steps=4)
        network, head = fresh(settings)
        Recorded.added.clear()
        outcome = train(settings, network, head, round_index=2)
        assert len(Recorded.added) == 4
        longest[bound] = max(Recorded.added)
        assert outcome.site_gradient_ratio is not None
        assert outcome.site_gradient_ratio > 0.2  # measured before the bound
    assert longest[0.1] == pytest.approx(0.1, rel=1e-3)
    assert longest[None] > 0.2


def test_the_bound_leaves_the_head_s_own_gradient_and_a_short_gradient_alone() -> None:
    ends = []
    for bound in (1e-6, 1e6, None):
        settings = recipe(site="uniform", bound=bound, steps=1)
        network, head = fresh(settings)
        train(settings, network, head)
        ends.append((parameters_of(network), parameters_of(head)))
    # Adam's first step is as long for any gradient: the head's is the same whatever the bound
    for name in ends[0][1]:
        np.testing.assert_array_equal(ends[0][1][name], ends[2][1][name])
    for name in ends[1][0]:
        np.testing.assert_array_equal(ends[1][0][name], ends[2][0][name])
    assert any(not np.array_equal(ends[0][0][name], ends[2][0][name]) for name in ends[0][0])


@pytest.mark.parametrize("name", FEDERATED)
def test_a_loss_that_needs_summaries_is_off_without_them_and_in_its_first_round(name: str) -> None:
    settings = recipe(site=name, steps=2)
    alone, _ = fresh(settings)
    plain = train(recipe(site="none", steps=2), alone, None)
    network, head = fresh(settings)
    untouched = parameters_of(head)
    outcome = train_locally(
        network,
        head,
        build_sampler(CASES, settings),
        recipe=settings,
        sites=[1, 1],
        round_index=5,
        seed=5,
    )
    assert outcome.mean_site_loss is None
    assert outcome.losses == plain.losses
    for name_, array in parameters_of(head).items():
        np.testing.assert_array_equal(array, untouched[name_])
    # with them, but in round 1: 1 - 1 of 2 rounds of the ramp
    network, head = fresh(settings)
    first = train(settings, network, head, round_index=1)
    assert first.losses == plain.losses
    assert first.site_gradient_ratio == 0


@pytest.mark.parametrize("name", FEDERATED)
def test_who_trains_the_head(name: str) -> None:
    settings = recipe(site=name, steps=2)
    network, head = fresh(settings)
    before, started = parameters_of(head), parameters_of(network)
    train(settings, network, head, round_index=3)
    moved = [k for k, array in parameters_of(head).items() if not np.array_equal(array, before[k])]
    # the frozen head's place is the coordinator; moment_align looks at none
    assert bool(moved) == (name == "fedharmony")
    assert not {"centre", "deviation"} & set(moved)
    plain, _ = fresh(settings)
    train(recipe(site="none", steps=2), plain, None)
    ends = parameters_of(network), parameters_of(plain)
    assert any(not np.array_equal(ends[0][k], ends[1][k]) for k in started)


def test_the_pull_keeps_the_encoder_near_where_the_round_began_and_counts_in_the_loss() -> None:
    far = []
    for mu in (0.0, 100.0):
        settings = recipe(site="fed_confusion", steps=8, proximal=mu)
        network, head = fresh(settings)
        before = parameters_of(network)["first.0.weight"]
        outcome = train(settings, network, head, round_index=2)
        far.append(np.linalg.norm(parameters_of(network)["first.0.weight"] - before))
        assert outcome.mean_site_loss is not None
        # weight 0.5, and half of it in round 2 of a ramp of 2
        rest = outcome.mean_loss - outcome.mean_segmentation_loss - 0.25 * outcome.mean_site_loss
        assert rest == pytest.approx(0, abs=1e-6) if mu == 0 else rest > 0
    assert far[1] < far[0] / 2


@pytest.mark.parametrize("name", FEDERATED)
def test_patches_of_several_sites_in_one_place_train_with_their_own_indices(name: str) -> None:
    settings = recipe(site=name, steps=3)
    network, head = fresh(settings)
    outcome = train_locally(
        network,
        head,
        build_sampler(CASES, settings),
        recipe=settings,
        sites=[0, 2],
        round_index=2,
        seed=5,
        known=KNOWN,
        summaries={0: summary(0.5), 2: summary(-0.5)},
    )
    assert outcome.mean_site_loss is not None
    assert np.isfinite(outcome.losses).all()


def test_a_loss_that_is_not_finite_stops_training() -> None:
    everywhere = np.ones((16, 16, 16), bool)
    case = BrainCase(np.full((1, 16, 16, 16), np.nan, np.float32), everywhere, everywhere)
    network, head = fresh(recipe())
    with pytest.raises(SiteDataError, match=r"step 1 of 3: the loss is nan.*learning_rate"):
        train(recipe(), network, head, cases=[case])


@pytest.mark.parametrize("rate", [1e30, 1e37])
def test_a_last_step_that_spoils_the_network_is_a_training_that_diverged(rate: float) -> None:
    """No later step computes a loss of it: of 1e30 alone the output overflows, not a parameter."""
    settings = recipe(steps=1, site="none")
    too_fast = settings.optimizer.model_copy(update={"learning_rate": rate})
    settings = settings.model_copy(update={"optimizer": too_fast})
    network, _ = fresh(settings)
    with pytest.raises(SiteDataError, match=r"after the last step .*learning_rate") as diverged:
        train(settings, network, None)
    assert diverged.value.code == "loss-not-finite"


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
