"""Soft Dice loss with a squared denominator."""

from __future__ import annotations

import torch

EPSILON = 1e-5


def soft_dice_loss(logits: torch.Tensor, lesions: torch.Tensor) -> torch.Tensor:
    """1 - (2 sum p t + e) / (sum p² + sum t² + e) of the lesion class, mean over the batch.

    logits    (B, 2, i, j, k), background first; p is the softmax's lesion channel
    lesions   (B, i, j, k), t: 1 in a lesion, 0 elsewhere
    Source    Milletari et al. 2016, arXiv:1606.04797, as Aslani 2020 uses it.
    Chosen    each patch gives a Dice of its own, so a small lesion counts as much as a large one;
              the lesion class only; e = 1e-5. No lesion and none predicted: 0. No lesion and some
              predicted: close to 1.
    """
    probability = torch.sigmoid(logits[:, 1] - logits[:, 0])  # softmax of two, lesion channel
    truth = lesions.to(probability.dtype)
    space = (1, 2, 3)
    overlap = (probability * truth).sum(space)
    size = probability.square().sum(space) + truth.square().sum(space)
    return (1 - (2 * overlap + EPSILON) / (size + EPSILON)).mean()
