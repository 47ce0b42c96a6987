"""Soft Dice loss plus binary cross-entropy."""

from __future__ import annotations

import torch

from common.learning.losses.binary_cross_entropy import binary_cross_entropy_loss
from common.learning.losses.soft_dice import soft_dice_loss
from common.recipe.loss import Over


def dice_and_bce_loss(
    logits: torch.Tensor, truth: torch.Tensor, *, over: Over, epsilon: float
) -> torch.Tensor:
    """The sum of `soft_dice_loss` and `binary_cross_entropy_loss`.

    logits, truth, over, epsilon   as of `soft_dice_loss`
    Source    Isensee et al. 2021 (nnU-Net), doi:10.1038/s41592-020-01008-z, add the two with equal
              weights. Chosen: the squared denominator, the lesion class only.
    """
    dice = soft_dice_loss(logits, truth, over=over, epsilon=epsilon)
    return dice + binary_cross_entropy_loss(logits, truth)
