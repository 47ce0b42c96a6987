"""Tversky loss: Dice in which a missed voxel (FN) may weigh more than a wrongly found one (FP)."""

from __future__ import annotations

import torch

from common.learning.losses.full_precision import full_precision

EPSILON = 1e-5


def tversky_loss(
    logits: torch.Tensor, truth: torch.Tensor, *, false_negatives: float
) -> torch.Tensor:
    """1 - (TP + e) / (TP + v FN + (1 - v) FP + e) of each sample and output, then the mean.

    logits            (B, R, *space), of lesion
    truth             (B, R, *space), bool or 0 and 1
    false_negatives   v, what a missed voxel weighs; 0.5 gives Dice
    Source            Salehi et al. 2017, arXiv:1706.05721, as Hussein 2023 uses it.
    Chosen            v = 0.7 in the recipe, so that false positives weigh 0.3: papers and libraries
                      disagree on which of their alpha and beta is which. Each sample counts
                      alike; e = 1e-5. No lesion and none predicted: 0.
    """
    return tversky_distance(logits, truth, false_negatives=false_negatives).mean()


def tversky_distance(
    logits: torch.Tensor, truth: torch.Tensor, *, false_negatives: float
) -> torch.Tensor:
    """1 - Tversky index of each sample and output, (B, R); 0 exactly for a perfect match."""
    logits, truth = full_precision(logits, truth)
    probability = torch.sigmoid(logits)
    each = (*logits.shape[:2], -1)
    found = (probability * truth).reshape(each).sum(-1)
    missed = (torch.sigmoid(-logits) * truth).reshape(each).sum(-1)
    wrong = (probability * (1 - truth)).reshape(each).sum(-1)
    errors = false_negatives * missed + (1 - false_negatives) * wrong
    return errors / (found + errors + EPSILON)
