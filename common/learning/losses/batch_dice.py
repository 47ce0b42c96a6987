"""Dice loss of all outputs of a batch taken together."""

from __future__ import annotations

import torch

from common.learning.losses.full_precision import full_precision
from common.recipe.loss import BatchDiceForm


def batch_dice_loss(
    logits: torch.Tensor, truth: torch.Tensor, *, form: BatchDiceForm, epsilon: float
) -> torch.Tensor:
    """-2 (a + sum t p) / (e + sum t + sum p) over outputs, batch and space.

    logits    (B, R, *space), of lesion; R raters' outputs, p their probabilities
    truth     (B, R, *space), t: bool or 0 and 1
    form      literal: a = e. Empty and left empty gives -2, a perfect match -1: the reward for
              doing nothing is the larger.
              corrected, the recipe's default: a = e / 2, so that both give -1
    epsilon   literal: e as printed, 1e-5. A batch without a lesion then has no gradient unless
              sum p is near e.
              corrected: in voxels a patch and output, so e = B R epsilon; docs/adr/0042
    Source    Fenneteau et al. 2021. The corrected form and its epsilon are ours.

    A Dice of sums is not a sum of Dices: the loss of a batch is not the mean over its parts.
    """
    logits, truth = full_precision(logits, truth)
    probability = torch.sigmoid(logits)
    below = epsilon if form == "literal" else epsilon * logits.shape[0] * logits.shape[1]
    above = below if form == "literal" else below / 2
    size = truth.sum() + probability.sum()
    return -2 * (above + (truth * probability).sum()) / (below + size)
