"""Whatever a recipe may name exists under that name, and nothing else does."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import BaseModel

from common.learning.augmentation.registry import AUGMENTATIONS
from common.learning.losses.registry import SEGMENTATION_LOSSES
from common.learning.networks.registry import NETWORKS
from common.learning.sampling.registry import SAMPLERS
from common.learning.training import OPTIMIZERS
from common.metrics.presets import PRESETS
from common.recipe.federation import Optimizer
from common.recipe.inference import Evaluation
from common.recipe.loss import SegmentationLoss
from common.recipe.network import Network
from common.recipe.recipe import Recipe, shipped_recipes
from common.recipe.sampling import Augmentation, Sampling


def named(union: Any) -> set[str]:
    """The `name` of each class in a section that is one of several."""
    classes = get_args(get_args(union)[0])
    return {name for cls in classes for name in choices(cls, "name")}


def choices(cls: type[BaseModel], field: str) -> set[str]:
    return set(get_args(cls.model_fields[field].annotation))


@pytest.mark.parametrize(
    ("in_recipe", "in_code"),
    [
        pytest.param(named(Network), set(NETWORKS), id="networks"),
        pytest.param(named(SegmentationLoss), set(SEGMENTATION_LOSSES), id="segmentation losses"),
        pytest.param(choices(Sampling, "name"), set(SAMPLERS), id="samplers"),
        pytest.param(choices(Optimizer, "name"), set(OPTIMIZERS), id="optimizers"),
        pytest.param(choices(Evaluation, "preset"), set(PRESETS), id="lesion definitions"),
        pytest.param(
            # half-turn is the voxel sampler's own: it takes half of a batch
            set(get_args(Augmentation)) - {"half-turn"},
            set(AUGMENTATIONS),
            id="augmentations",
        ),
    ],
)
def test_the_recipe_and_the_code_name_the_same_things(
    in_recipe: set[str], in_code: set[str]
) -> None:
    assert in_recipe
    assert in_recipe == in_code


def test_a_recipe_is_named_as_its_file() -> None:
    assert all(path.stem == name for name, path in shipped_recipes().items())
    assert "default" in shipped_recipes()
    assert set(Recipe.model_fields) >= {"network", "loss", "sampling", "optimizer"}
