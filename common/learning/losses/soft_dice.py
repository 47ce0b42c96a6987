"""Soft Dice loss with a squared denominator."""

from __future__ import annotations

import torch

from common.learning.losses.full_precision import full_precision

EPSILON = 1e-5


def soft_dice_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """1 - (2 sum p t + e) / (sum p² + sum t² + e), mean over batch and outputs.

    logits    (B, R, *space), of lesion; p is their sigmoid
    truth     (B, R, *space), t: 1 in a lesion, 0 elsewhere
    Source    Milletari et al. 2016, arXiv:1606.04797, as Aslani 2020 uses it.
    Chosen    each patch gives a Dice of its own, so a small lesion counts as much as a large one;
              the lesion class only; e = 1e-5. No lesion and none predicted: 0. No lesion and some
              predicted: close to 1.
    """
    logits, truth = full_precision(logits, truth)
    probability = torch.sigmoid(logits)
    each = (*logits.shape[:2], -1)
    overlap = (probability * truth).reshape(each).sum(-1)
    size = (probability.square() + truth.square()).reshape(each).sum(-1)
    return (1 - (2 * overlap + EPSILON) / (size + EPSILON)).mean()
