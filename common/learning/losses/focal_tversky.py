"""Focal Tversky loss: 1 minus the Tversky index, to a power."""

from __future__ import annotations

import torch

from common.learning.losses.tversky import tversky_distance

EPSILON = 1e-6


def focal_tversky_loss(
    logits: torch.Tensor, truth: torch.Tensor, *, false_negatives: float, gamma: float
) -> torch.Tensor:
    """(1 - TI) ^ (1 / gamma) of each sample and output, then the mean; TI is the Tversky index.

    logits            (B, R, *space), of lesion
    truth             (B, R, *space), bool or 0 and 1
    false_negatives   what a missed voxel weighs in TI; false positives weigh the rest
    gamma             above 1 it makes the loss steeper near TI = 1 and flatter far from it
    Source            Abraham and Khan 2019, arXiv:1810.07842, as Hussein 2023 uses it.
    Chosen            gamma = 4/3 in the recipe. (1 - TI + e) ^ (1 / gamma) - e ^ (1 / gamma) with
                      e = 1e-6 is taken in its place, which differs by 3e-5 at most with this gamma:
                      at TI = 1 the power alone has an infinite slope.
    """
    distance = tversky_distance(logits, truth, false_negatives=false_negatives)
    power = 1 / gamma
    raised: torch.Tensor = (distance + EPSILON).pow(power) - EPSILON**power
    return raised.mean()
