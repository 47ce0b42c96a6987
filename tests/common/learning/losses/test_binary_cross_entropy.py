from __future__ import annotations

import math

import pytest
import torch

from common.learning.losses.binary_cross_entropy import binary_cross_entropy_loss


def test_two_patches_worked_by_hand() -> None:
    probability = torch.tensor([[0.5, 0.2, 0.9], [0.25, 0.1, 0.8]], dtype=torch.float64)
    truth = torch.tensor([[1, 0, 1], [0, 0, 1]])
    # -log of what each voxel's truth got: 0.5, 0.8, 0.9, 0.75, 0.9, 0.8
    product = 0.5 * 0.8 * 0.9 * 0.75 * 0.9 * 0.8
    loss = binary_cross_entropy_loss(
        torch.logit(probability)[:, None, :, None, None], truth[:, None, :, None, None]
    )
    assert loss.item() == pytest.approx(-math.log(product) / 6)


def test_a_sure_mistake_costs_its_logit() -> None:
    # -log sigmoid(-100) = log(1 + e^100) = 100; the right half costs 0
    loss = binary_cross_entropy_loss(torch.tensor([[100.0], [100.0]]), torch.tensor([[0], [1]]))
    assert loss.item() == pytest.approx(50)
