"""A patch without a lesion teaches: every segmentation loss as the shipped recipes set it.

Compared with a patch with a lesion of 30 voxels; docs/adr/0042 says how the ratio falls with more.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import pytest
import torch
from pydantic import TypeAdapter

from common.learning.losses.registry import segmentation_loss
from common.recipe.loss import SegmentationLoss
from common.recipe.recipe import Recipe, Scale, load_recipe, shipped_recipes, variants_of

SETTINGS: TypeAdapter[SegmentationLoss] = TypeAdapter(SegmentationLoss)
Where = Literal["everywhere", "one voxel", "a ball"]
WHERE: tuple[Where, ...] = ("everywhere", "one voxel", "a ball")
N_BALL = 30
N_PATCHES = 4
"""Patches of a batch at most: a batch repeated has the same loss, as a test below shows."""

SHIPPED = [
    pytest.param(name, variant, scale, id=f"{name}, {variant or 'itself'}, {scale}")
    for name in sorted(shipped_recipes())
    for variant in (None, *variants_of(name))
    for scale in ("full", "small")
]
every_shipped_recipe = pytest.mark.parametrize(("name", "variant", "scale"), SHIPPED)

TEACHES_NOTHING = {
    "dice": {"name": "dice", "over": "patch", "epsilon": 1e-5},
    "tversky": {"name": "tversky", "over": "patch", "epsilon": 1e-5},
    "focal-tversky": {"name": "focal-tversky", "over": "patch", "epsilon": 1e-5},
    "batch-dice": {"name": "batch-dice", "epsilon": 1e-5},
    # as printed (Fenneteau 2021); the recipe has the corrected form, and its page says why
    "batch-dice, literal": {"name": "batch-dice", "form": "literal", "epsilon": 1e-5},
}


def output_shape(recipe: Recipe) -> tuple[int, ...]:
    """Outputs and space of one sample's logits."""
    space = recipe.sampling.patch_shape if recipe.network.answers == "map" else ()
    return (recipe.task.n_outputs, *space)


def ball(shape: tuple[int, ...], n_voxels: int) -> torch.Tensor:
    """So many voxels about the middle of each output, (R, *space)."""
    axes = [torch.arange(n) - n // 2 for n in shape[1:]]
    distance = torch.zeros(shape[1:])
    for number, axis in enumerate(torch.meshgrid(*axes, indexing="ij") if axes else ()):
        distance += axis**2 * (1 + 1e-3 * number)
    nearest = distance.flatten().argsort(stable=True)[:n_voxels]
    inside = torch.zeros(distance.numel(), dtype=torch.bool)
    inside[nearest] = True
    return inside.reshape(shape[1:]).expand(shape)


def prediction(where: Where, shape: tuple[int, ...]) -> torch.Tensor:
    """Probabilities of one patch: one half there, 0.01 elsewhere."""
    half = {
        "everywhere": torch.ones(shape, dtype=torch.bool),
        "one voxel": ball(shape, 1),
        "a ball": ball(shape, N_BALL),
    }[where]
    return torch.where(half, 0.5, 0.01)


def gradient_of_each_patch(
    settings: SegmentationLoss, probability: torch.Tensor, truth: list[torch.Tensor]
) -> list[float]:
    """Norm of the gradient in each patch's logits, in a batch of patches predicted alike."""
    logits = torch.logit(probability).expand(len(truth), *probability.shape).clone()
    logits.requires_grad_()
    loss = segmentation_loss(settings, logits, torch.stack(truth))
    (gradient,) = torch.autograd.grad(loss, logits)
    return [float(patch.norm()) for patch in gradient]


@cache
def ratio(
    settings_json: str, shape: tuple[int, ...], n_patches: int, where: Where, beside: str
) -> float:
    """Gradient of a lesion-free patch over that of a lesion patch, both predicted alike.

    beside   "none": the first in a batch without a lesion, the second in one of lesion patches
             alone; "half", "all but one": in one batch, so much of which is lesion-free
    """
    settings = SETTINGS.validate_json(settings_json)
    lesion, empty = ball(shape, N_BALL), torch.zeros(shape, dtype=torch.bool)
    probability = prediction(where, shape)
    if beside == "none":
        [free, *_] = gradient_of_each_patch(settings, probability, [empty] * n_patches)
        [full, *_] = gradient_of_each_patch(settings, probability, [lesion] * n_patches)
        return free / full
    n_lesion = n_patches // 2 if beside == "half" else 1
    truth = [lesion] * n_lesion + [empty] * (n_patches - n_lesion)
    found = gradient_of_each_patch(settings, probability, truth)
    return found[-1] / found[0]


def ratios(settings: SegmentationLoss, recipe: Recipe) -> dict[tuple[Where, str], float]:
    """Every ratio at the recipe's patch, outputs and batch."""
    shape, n_patches = output_shape(recipe), min(recipe.sampling.batch_size, N_PATCHES)
    batches = ("none", "half", "all but one") if n_patches > 1 else ("none",)
    return {
        (where, beside): ratio(settings.model_dump_json(), shape, n_patches, where, beside)
        for where in WHERE
        for beside in batches
    }


@every_shipped_recipe
def test_a_lesion_free_patch_has_a_hundredth_of_a_lesion_patch_s_gradient(
    name: str, variant: str | None, scale: Scale
) -> None:
    recipe = load_recipe(name, variant=variant, scale=scale)
    found = ratios(recipe.loss.segmentation, recipe)
    assert {case: ratio for case, ratio in found.items() if not ratio >= 0.01} == {}


@every_shipped_recipe
def test_a_batch_repeated_has_the_same_loss(name: str, variant: str | None, scale: Scale) -> None:
    recipe = load_recipe(name, variant=variant, scale=scale)
    shape = output_shape(recipe)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, shape[0], *(4 for _ in shape[1:]), generator=generator)
    truth = torch.rand(logits.shape, generator=generator) > 0.7
    once = segmentation_loss(recipe.loss.segmentation, logits, truth)
    often = segmentation_loss(
        recipe.loss.segmentation, torch.cat([logits] * 5), torch.cat([truth] * 5)
    )
    torch.testing.assert_close(often, once, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", sorted(TEACHES_NOTHING))
@pytest.mark.parametrize("where", WHERE)
def test_an_epsilon_of_a_hundred_thousandth_of_a_voxel_teaches_nothing(
    name: str, where: Where
) -> None:
    settings = SETTINGS.validate_python(TEACHES_NOTHING[name])
    shape = output_shape(load_recipe("default"))
    assert ratio(settings.model_dump_json(), shape, 2, where, "none") < 1e-4


@pytest.mark.parametrize("over", ["patch", "batch"])
@pytest.mark.parametrize("name", ["dice", "tversky", "focal-tversky"])
def test_the_ratio_where_everything_is_one_half_is_twice_epsilon_over_the_root_of_the_voxels(
    name: str, over: str
) -> None:
    # N voxels at p = 1/2, n of them lesion. Dice: the sums are about N / 4, so a lesion voxel has
    # the slope (2 / (N / 4)) / 4 = 2 / N, together 2 sqrt(n) / N; a lesion-free patch has
    # 2 p e / (N / 4)² / 4 = 4 e / N² a voxel, together 4 e sqrt(N) / N². Ratio 2 e / sqrt(N n).
    # Tversky: 1.67 sqrt(n) / N and 3.33 e sqrt(N) / N², which is the same ratio
    settings = SETTINGS.validate_python({"name": name, "over": over, "epsilon": 30})
    shape = (1, 32, 64, 64)
    n_voxels = 32 * 64 * 64
    found = ratio(settings.model_dump_json(), shape, 2, "everywhere", "none")
    assert found == pytest.approx(2 * 30 / (n_voxels * N_BALL) ** 0.5, rel=0.02)
