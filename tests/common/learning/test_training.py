from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch

from common.errors import SiteDataError
from common.learning.networks.site_head import SiteHead, build_site_head
from common.learning.networks.unet import UNet, build_network
from common.learning.parameters import parameters_of
from common.learning.training import TrainingOutcome, train_locally
from common.recipe import Recipe, recipe_from_table

N_SITES = 3


@dataclass(frozen=True)
class Case:
    image: npt.NDArray[np.float32]
    lesions: npt.NDArray[np.bool_] | None


def bright_lesion(*, seed: int) -> Case:
    """Noise of deviation 0.3 on 20 x 18 x 16 voxels, with a box of 5 x 4 x 6 that is 3 brighter."""
    lesions = np.zeros((20, 18, 16), bool)
    lesions[8:13, 6:10, 5:11] = True
    noise = np.random.default_rng(seed).normal(0, 0.3, lesions.shape)
    return Case((noise + 3 * lesions)[None].astype(np.float32), lesions)


CASES = [bright_lesion(seed=0), bright_lesion(seed=1)]


def recipe(*, steps: int = 3, site: str = "uniform", dropout: float = 0.0) -> Recipe:
    table = {
        "name": "tiny",
        "description": "a test",
        "task": {"modalities": ["FLAIR"]},
        "standardization": {"method": "none"},
        "network": {
            "name": "unet",
            "widths": [4, 4, 8, 8, 8],
            "norm": "group",
            "dropout": dropout,
        },
        "loss": {"segmentation": "dice", "site": {"name": site, "weight": 0.5}},
        "sampling": {"patch_shape": [16, 16, 16], "batch_size": 2, "mirror": True},
        "optimizer": {"name": "adam", "learning_rate": 0.01, "steps": steps},
        "federation": {"rounds": 1},
        "compute": {"threads": 1},
    }
    return recipe_from_table(table, where="test")


def fresh(settings: Recipe) -> tuple[UNet, SiteHead]:
    network = build_network(settings.network, n_channels=1, seed=0)
    return network, build_site_head(n_features=8, n_sites=N_SITES, seed=1)


def train(
    settings: Recipe, network: UNet, head: SiteHead | None, *, seed: int = 5
) -> TrainingOutcome:
    return train_locally(
        network,
        head,
        CASES,
        recipe=settings,
        site_index=1,
        n_sites=N_SITES,
        round_index=1,
        seed=seed,
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
        CASES,
        recipe=recipe(),
        site_index=0,
        n_sites=N_SITES,
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
    image = np.full((1, 16, 16, 16), np.nan, np.float32)
    case = Case(image, np.ones((16, 16, 16), bool))
    network, head = fresh(recipe())
    with pytest.raises(SiteDataError, match=r"step 1 of 3: the loss is nan.*learning_rate"):
        train_locally(
            network,
            head,
            [case],
            recipe=recipe(),
            site_index=0,
            n_sites=N_SITES,
            round_index=1,
            seed=0,
        )


def test_a_site_without_a_lesion_cannot_train() -> None:
    network, head = fresh(recipe())
    case = Case(CASES[0].image, None)
    with pytest.raises(SiteDataError, match="cannot train"):
        train_locally(
            network,
            head,
            [case],
            recipe=recipe(),
            site_index=0,
            n_sites=N_SITES,
            round_index=1,
            seed=0,
        )
