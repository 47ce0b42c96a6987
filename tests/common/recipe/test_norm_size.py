"""What the smallest norm of each shipped recipe has to take its mean and variance of."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from torch import nn

from common.learning.model import new_network, set_stage
from common.recipe.norm_size import LEAST_VALUES, n_groups
from common.recipe.recipe import Recipe, Scale, load_recipe, shipped_recipes, variants_of

SMALLEST: dict[tuple[str, Scale], int] = {
    ("aslani2020", "full"): 4 * 4 * 4,
    ("aslani2020", "small"): 2 * 4 * 4,
    ("consortium", "full"): 2 * 4 * 4,
    ("consortium", "small"): 2 * 4 * 4,
    ("default", "full"): 2 * 4 * 4,
    ("default", "small"): 2 * 4 * 4,
    ("fenneteau2021", "full"): 7 * 7 * 7 * 2 * 40,
    ("fenneteau2021", "small"): 2 * 2 * 2 * 2 * 8,
    ("galassi2019", "full"): 5 * 5 * 5 * 128,
    ("galassi2019", "small"): 5 * 5 * 5 * 128,
    ("hussein2023", "full"): 3 * 3 * 3,
    ("hussein2023", "small"): 2 * 2 * 4,
    ("kamraoui2021", "full"): 4 * 4 * 4,
    ("kamraoui2021", "small"): 2 * 2 * 4,
}


@pytest.mark.parametrize(("name", "scale"), SMALLEST)
def test_every_shipped_recipe_and_variant_norms_at_least_sixteen_values(
    name: str, scale: Scale
) -> None:
    for variant in (None, *variants_of(name)):
        recipe = load_recipe(name, scale=scale, variant=variant)
        smallest = smallest_of(recipe)
        assert smallest == SMALLEST[name, scale]
        assert smallest >= LEAST_VALUES


def test_no_shipped_recipe_is_left_out() -> None:
    assert set(SMALLEST) == {
        (name, scale) for name in shipped_recipes() for scale in ("full", "small")
    }


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        pytest.param("default", [], id="U-Net, instance"),
        pytest.param("default", ["network.norm=batch"], id="U-Net, batch"),
        pytest.param("default", ["network.norm=group"], id="U-Net, group"),
        pytest.param(
            "default",
            ["network.norm=group", "network.widths=[2, 64, 64, 64]", "network.first_stride=1"],
            id="U-Net, four groups of 16 at 4 x 8 x 8",
        ),
        pytest.param("fenneteau2021", [], id="Siamese, batch"),
        pytest.param("fenneteau2021", ["network.norm=group"], id="Siamese, group"),
        pytest.param("galassi2019", ["sampling.batch_size=3"], id="cascade, batch"),
        pytest.param("galassi2019", ["network.norm=group"], id="cascade, group"),
    ],
)
def test_it_is_the_smallest_that_the_network_applies(name: str, overrides: list[str]) -> None:
    recipe = load_recipe(name, scale="small", overrides=overrides)
    assert min(applied(recipe)) == smallest_of(recipe)


@pytest.mark.parametrize(("n_features", "expected"), [(64, 4), (6, 2), (7, 1), (4, 4), (1, 1)])
def test_groups_are_as_many_as_divide_the_features(n_features: int, expected: int) -> None:
    assert n_groups(n_features) == expected


def smallest_of(recipe: Recipe) -> int:
    shape, batch_size = recipe.sampling.patch_shape, recipe.sampling.batch_size
    return recipe.network.smallest_norm(shape, batch_size=batch_size).n_values


def applied(recipe: Recipe) -> list[int]:
    """Values of each norm that a training step really applies, seen as it is applied."""
    network = new_network(recipe)
    stage: Literal["whole", "first"] = "first" if recipe.network.name == "cascade" else "whole"
    set_stage(network, stage)
    seen: list[int] = []

    def look(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        n_samples, n_features, *voxels = inputs[0].shape
        if isinstance(module, nn.BatchNorm3d):
            seen.append(n_samples * math.prod(voxels))
        elif isinstance(module, nn.GroupNorm):
            seen.append(n_features // module.num_groups * math.prod(voxels))

    for module in network.modules():
        module.register_forward_pre_hook(look)
    n_channels = len(recipe.task.channels)
    batch = (recipe.sampling.batch_size, n_channels, *recipe.sampling.patch_shape)
    with torch.inference_mode():
        network.train()(torch.zeros(batch))
    return seen
