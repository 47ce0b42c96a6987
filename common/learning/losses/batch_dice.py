"""Dice loss of all outputs of a batch taken together."""

from __future__ import annotations

from typing import Literal

import torch

from common.learning.losses.full_precision import full_precision

EPSILON = 1e-5


def batch_dice_loss(
    logits: torch.Tensor, truth: torch.Tensor, *, form: Literal["corrected", "literal"]
) -> torch.Tensor:
    """-2 (e + sum t p) / (e + sum t + sum p) over outputs, batch and space.

    logits   (B, R, *space), of lesion; R raters' outputs, p their probabilities
    truth    (B, R, *space), t: bool or 0 and 1
    form     literal: as printed. Empty and left empty gives -2, a perfect match -1: the reward for
             doing nothing is the larger.
             corrected, the recipe's default: e / 2 above, so that both give -1
    Source   Fenneteau et al. 2021, e = 1e-5. The corrected form is ours.

    A Dice of sums is not a sum of Dices: the loss of a batch is not the mean over its parts.
    """
    logits, truth = full_precision(logits, truth)
    probability = torch.sigmoid(logits)
    above = EPSILON if form == "literal" else EPSILON / 2
    size = truth.sum() + probability.sum()
    return -2 * (above + (truth * probability).sum()) / (EPSILON + size)
