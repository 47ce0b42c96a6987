"""Focal Tversky loss: 1 minus the Tversky index, to a power."""

from __future__ import annotations

import torch

from common.learning.losses.tversky import tversky_distance
from common.recipe.loss import Over

POWER_EPSILON = 1e-6
"""Added before the power is taken, whose slope at 0 is infinite; not the epsilon of the index."""


def focal_tversky_loss(
    logits: torch.Tensor,
    truth: torch.Tensor,
    *,
    false_negatives: float,
    gamma: float,
    over: Over,
    epsilon: float,
) -> torch.Tensor:
    """(1 - TI) ^ (1 / gamma) of each patch or of the batch, then the mean; TI is the Tversky index.

    logits            (B, R, *space), of lesion
    truth             (B, R, *space), bool or 0 and 1
    false_negatives   what a missed voxel weighs in TI; false positives weigh the rest
    gamma             above 1 it makes the loss steeper near TI = 1 and flatter far from it
    over, epsilon     of TI, as in tversky_loss
    Source            Abraham and Khan 2019, arXiv:1810.07842, as Hussein 2023 uses it.
    Chosen            gamma = 4/3 in the recipe. (1 - TI + d) ^ (1 / gamma) - d ^ (1 / gamma) with
                      d = 1e-6 is taken in its place, which differs by 3e-5 at most with this gamma:
                      at TI = 1 the power alone has an infinite slope. over and epsilon.
    """
    distance = tversky_distance(
        logits, truth, false_negatives=false_negatives, over=over, epsilon=epsilon
    )
    power = 1 / gamma
    raised: torch.Tensor = (distance + POWER_EPSILON).pow(power) - POWER_EPSILON**power
    return raised.mean()
