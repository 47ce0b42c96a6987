"""Soft Dice loss with a squared denominator."""

from __future__ import annotations

import torch

from common.learning.losses.full_precision import full_precision
from common.learning.losses.patch_sums import patch_sums
from common.recipe.loss import Over


def soft_dice_loss(
    logits: torch.Tensor, truth: torch.Tensor, *, over: Over, epsilon: float
) -> torch.Tensor:
    """1 - (2 sum p t + e) / (sum p² + sum t² + e) of each patch or of the batch, then the mean.

    logits    (B, R, *space), of lesion; p is their sigmoid
    truth     (B, R, *space), t: 1 in a lesion, 0 elsewhere
    over      what the sums go over: space in each "patch", or space and "batch"; each output has a
              value of its own
    epsilon   e, in voxels a patch. No lesion and none predicted: 0. Without a lesion the loss is
              1 - e / (sum p² + e), and its slope in p is 2 p e / (sum p² + e)²: next to 0 as soon
              as sum p² is far above e. docs/adr/0042 has the measurements
    Source    Milletari et al. 2016, arXiv:1606.04797, as Aslani 2020 uses it.
    Chosen    the lesion class only; over and e, which Aslani does not give.
    """
    logits, truth = full_precision(logits, truth)
    probability = torch.sigmoid(logits)
    overlap = patch_sums(probability * truth, over)
    size = patch_sums(probability.square() + truth.square(), over)
    return (1 - (2 * overlap + epsilon) / (size + epsilon)).mean()
