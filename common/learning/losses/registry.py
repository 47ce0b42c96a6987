"""Every segmentation loss by its name in a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from common.learning.losses.batch_dice import batch_dice_loss
from common.learning.losses.binary_cross_entropy import binary_cross_entropy_loss
from common.learning.losses.dice_and_bce import dice_and_bce_loss
from common.learning.losses.focal_tversky import focal_tversky_loss
from common.learning.losses.generalized_dice import generalized_dice_loss
from common.learning.losses.soft_dice import soft_dice_loss
from common.learning.losses.tversky import tversky_loss
from common.recipe.loss import SegmentationLoss

SEGMENTATION_LOSSES: Mapping[str, Callable[..., torch.Tensor]] = {
    "dice": soft_dice_loss,
    "generalized-dice": generalized_dice_loss,
    "bce": binary_cross_entropy_loss,
    "tversky": tversky_loss,
    "focal-tversky": focal_tversky_loss,
    "batch-dice": batch_dice_loss,
    "dice-and-bce": dice_and_bce_loss,
}
"""Logits of lesion (B, R, *space), truth of the same shape, and the loss's own settings by name."""


def segmentation_loss(
    settings: SegmentationLoss, logits: torch.Tensor, truth: torch.Tensor
) -> torch.Tensor:
    """The recipe's loss of one batch, a scalar."""
    own: dict[str, Any] = settings.model_dump(exclude={"name"})
    return SEGMENTATION_LOSSES[settings.name](logits, truth, **own)
