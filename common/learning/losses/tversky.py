"""Tversky loss: Dice in which a missed voxel (FN) may weigh more than a wrongly found one (FP)."""

from __future__ import annotations

import torch

from common.learning.losses.full_precision import full_precision
from common.learning.losses.patch_sums import patch_sums
from common.recipe.loss import Over


def tversky_loss(
    logits: torch.Tensor, truth: torch.Tensor, *, false_negatives: float, over: Over, epsilon: float
) -> torch.Tensor:
    """1 - (TP + e) / (TP + v FN + (1 - v) FP + e) of each patch or of the batch, then the mean.

    logits            (B, R, *space), of lesion
    truth             (B, R, *space), bool or 0 and 1
    false_negatives   v, what a missed voxel weighs; 0.5 gives Dice
    over              what the sums go over: space in each "patch", or space and "batch"; each
                      output has a value of its own
    epsilon           e, in voxels a patch. No lesion and none predicted: 0. Without a lesion the
                      loss is 1 - e / ((1 - v) sum p + e): see soft_dice_loss
    Source            Salehi et al. 2017, arXiv:1706.05721, as Hussein 2023 uses it.
    Chosen            v = 0.7 in the recipe, so that false positives weigh 0.3: papers and libraries
                      disagree on which of their alpha and beta is which. over and e.
    """
    return tversky_distance(
        logits, truth, false_negatives=false_negatives, over=over, epsilon=epsilon
    ).mean()


def tversky_distance(
    logits: torch.Tensor, truth: torch.Tensor, *, false_negatives: float, over: Over, epsilon: float
) -> torch.Tensor:
    """1 - Tversky index, (B, R) or over the batch (1, R); 0 exactly for a perfect match."""
    logits, truth = full_precision(logits, truth)
    probability = torch.sigmoid(logits)
    found = patch_sums(probability * truth, over)
    missed = patch_sums(torch.sigmoid(-logits) * truth, over)
    wrong = patch_sums(probability * (1 - truth), over)
    errors = false_negatives * missed + (1 - false_negatives) * wrong
    return errors / (found + errors + epsilon)
