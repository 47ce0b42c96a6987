"""Generalized Dice loss of lesion and background over the batch."""

from __future__ import annotations

import torch

from common.learning.losses.full_precision import full_precision


def generalized_dice_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """1 - 2 sum w_c overlap_c / sum w_c (volume_c + predicted_c), mean over the outputs; 0 to 1.

    The sums go over the two classes c, lesion and background; w_c = 1 / volume_c², so a class
    counts alike however few its voxels are. Volumes are sums over the batch and space.

    logits    (B, R, *space), of lesion; space may be empty
    truth     (B, R, *space), bool or 0 and 1
    Source    Sudre et al. 2017, arXiv:1707.03237; Galassi 2019.
    Chosen    over the batch: a sample of the cascade is one voxel, and one voxel has one class.
              An absent class takes the weight of the other one, as in MONAI: without a lesion the
              loss is the mean probability of lesion. No epsilon: the classes fill the batch, so
              the denominator is above 0. Each output has a loss of its own.
    """
    logits, lesion = full_precision(logits, truth)
    over = (0, *range(2, logits.ndim))
    # sigmoid(-x), not 1 - sigmoid(x), which has no small values left at large x
    probability = torch.stack([torch.sigmoid(logits), torch.sigmoid(-logits)])
    reference = torch.stack([lesion, 1 - lesion])
    volume, predicted, overlap = (
        _class_sums(values, over) for values in (reference, probability, probability * reference)
    )
    weight = _weights(volume)
    ratio = (weight * overlap).sum(0) / (weight * (volume + predicted)).sum(0)
    return (1 - 2 * ratio).mean()


def _class_sums(values: torch.Tensor, over: tuple[int, ...]) -> torch.Tensor:
    """Sums over batch and space, (class, output)."""
    return values.sum([axis + 1 for axis in over])


def _weights(volume: torch.Tensor) -> torch.Tensor:
    """1 / volume² of each class and output, times what makes the largest weight 1."""
    absent = volume == 0
    smallest = volume.masked_fill(absent, torch.inf).amin(0)
    return (smallest / torch.where(absent, smallest, volume)).square()
