from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from common.learning.losses.batch_dice import batch_dice_loss
from common.learning.losses.binary_cross_entropy import binary_cross_entropy_loss
from common.learning.losses.dice_and_bce import dice_and_bce_loss
from common.learning.losses.focal_tversky import focal_tversky_loss
from common.learning.losses.generalized_dice import generalized_dice_loss
from common.learning.losses.registry import SEGMENTATION_LOSSES, segmentation_loss
from common.learning.losses.soft_dice import soft_dice_loss
from common.learning.losses.tversky import tversky_loss
from common.recipe.loss import SegmentationLoss

SETTINGS: TypeAdapter[SegmentationLoss] = TypeAdapter(SegmentationLoss)


def batch(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator), torch.rand(*shape, generator=generator) < 0.3


LOGITS, TRUTH = batch(3, 2, 4, 3, 2)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"name": "dice"}, soft_dice_loss(LOGITS, TRUTH, over="batch", epsilon=30.0)),
        (
            {"name": "dice", "over": "patch", "epsilon": 2.0},
            soft_dice_loss(LOGITS, TRUTH, over="patch", epsilon=2.0),
        ),
        (
            {"name": "dice-and-bce", "over": "patch", "epsilon": 2.0},
            dice_and_bce_loss(LOGITS, TRUTH, over="patch", epsilon=2.0),
        ),
        ({"name": "generalized-dice"}, generalized_dice_loss(LOGITS, TRUTH)),
        ({"name": "bce"}, binary_cross_entropy_loss(LOGITS, TRUTH)),
        (
            {"name": "tversky", "false_negatives": 0.9, "over": "patch", "epsilon": 2.0},
            tversky_loss(LOGITS, TRUTH, false_negatives=0.9, over="patch", epsilon=2.0),
        ),
        (
            {"name": "focal-tversky", "false_negatives": 0.6, "gamma": 2.0, "epsilon": 2.0},
            focal_tversky_loss(
                LOGITS, TRUTH, false_negatives=0.6, gamma=2.0, over="batch", epsilon=2.0
            ),
        ),
        (
            {"name": "batch-dice", "form": "literal", "epsilon": 1e-5},
            batch_dice_loss(LOGITS, TRUTH, form="literal", epsilon=1e-5),
        ),
    ],
)
def test_the_name_finds_its_loss_and_hands_it_its_own_settings(
    settings: dict[str, object], expected: torch.Tensor
) -> None:
    loss = segmentation_loss(SETTINGS.validate_python(settings), LOGITS, TRUTH)
    torch.testing.assert_close(loss, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("dice", {"over": "patch"}),
        ("dice", {"epsilon": 2.0}),
        ("dice-and-bce", {"over": "patch"}),
        ("dice-and-bce", {"epsilon": 2.0}),
        ("tversky", {"false_negatives": 0.99}),
        ("tversky", {"over": "patch"}),
        ("focal-tversky", {"gamma": 2.0}),
        ("focal-tversky", {"epsilon": 2.0}),
        ("batch-dice", {"epsilon": 2.0}),
        ("batch-dice", {"form": "literal", "epsilon": 1e-5}),
    ],
)
def test_another_setting_gives_another_loss(name: str, changed: dict[str, object]) -> None:
    plain = segmentation_loss(SETTINGS.validate_python({"name": name}), LOGITS, TRUTH)
    other = segmentation_loss(SETTINGS.validate_python({"name": name, **changed}), LOGITS, TRUTH)
    assert plain != other


@pytest.mark.parametrize("epsilon", [{}, {"epsilon": 30.0}])
def test_the_printed_form_takes_the_printed_epsilon_alone(epsilon: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=r"with epsilon 1e-05, got 30\. Set epsilon to 1e-05"):
        SETTINGS.validate_python({"name": "batch-dice", "form": "literal", **epsilon})


@pytest.mark.parametrize("name", sorted(SEGMENTATION_LOSSES))
@pytest.mark.parametrize("shape", [(2, 1, 4, 2, 3), (2, 3, 4, 2, 3), (8, 1)])
def test_every_loss_with_its_defaults_is_a_finite_scalar(name: str, shape: tuple[int, ...]) -> None:
    loss = segmentation_loss(SETTINGS.validate_python({"name": name}), *batch(*shape))
    assert loss.shape == ()
    assert loss.isfinite()
