from __future__ import annotations

from math import log

import pytest
import torch

from common.learning.losses.dice_and_bce import dice_and_bce_loss


def test_it_is_the_sum_of_dice_and_cross_entropy_by_hand() -> None:
    probability = torch.tensor([0.5, 0.8, 0.25, 0.5])[None, None, :, None, None]
    truth = torch.tensor([1.0, 1.0, 0.0, 0.0])[None, None, :, None, None]
    loss = dice_and_bce_loss(torch.logit(probability), truth, over="batch", epsilon=2.0)
    # overlap 1.3; squares 0.25 + 0.64 + 0.0625 + 0.25 = 1.2025, of the truth 2
    dice = 1 - (2 * 1.3 + 2) / (1.2025 + 2 + 2)
    entropy = -(log(0.5) + log(0.8) + log(0.75) + log(0.5)) / 4
    assert loss.item() == pytest.approx(dice + entropy, abs=1e-5)
