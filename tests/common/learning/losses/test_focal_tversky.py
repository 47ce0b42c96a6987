from __future__ import annotations

from functools import partial

import pytest
import torch

from common.learning.losses.focal_tversky import focal_tversky_loss
from common.learning.losses.tversky import tversky_loss

focal_of_each_patch = partial(focal_tversky_loss, over="patch", epsilon=1e-5)


def patches(values: list[list[float]]) -> torch.Tensor:
    """(B, 1, n, 1, 1), one list a patch."""
    return torch.tensor(values, dtype=torch.float64)[:, None, :, None, None]


def test_the_power_is_taken_in_each_sample_before_the_mean() -> None:
    loss = focal_of_each_patch(
        torch.logit(patches([[0.5, 0.2, 0.9, 0.3], [0.5, 0.5, 0.5, 0.5]])),
        patches([[1, 0, 1, 0], [1, 1, 1, 1]]),
        false_negatives=0.7,
        gamma=4 / 3,
    )
    # first: found 1.4, missed 0.6, wrong 0.5: 1 - TI = 0.57 / 1.97; second: 1.4 / 3.4
    by_hand = ((0.57 / 1.97) ** 0.75 + (1.4 / 3.4) ** 0.75) / 2
    assert loss.item() == pytest.approx(by_hand, abs=1e-4)


def test_over_the_batch_the_power_is_taken_of_its_one_index() -> None:
    loss = focal_tversky_loss(
        torch.logit(patches([[0.5, 0.2, 0.9, 0.3], [0.5, 0.5, 0.5, 0.5]])),
        patches([[1, 0, 1, 0], [1, 1, 1, 1]]),
        false_negatives=0.7,
        gamma=4 / 3,
        over="batch",
        epsilon=0.5,
    )
    # found 1.4 + 2 = 3.4; errors 0.57 + 1.4 = 1.97; epsilon 0.5 a patch
    assert loss.item() == pytest.approx((1.97 / (3.4 + 1.97 + 1)) ** 0.75, abs=1e-4)


def test_gamma_1_is_the_tversky_loss() -> None:
    logits = torch.randn(3, 2, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    truth = torch.rand(3, 2, 4, 5, 6, generator=torch.Generator().manual_seed(1)) > 0.7
    assert focal_of_each_patch(logits, truth, false_negatives=0.6, gamma=1).item() == pytest.approx(
        tversky_loss(logits, truth, false_negatives=0.6, over="patch", epsilon=1e-5).item(),
        abs=1e-6,
    )


def test_a_perfect_match_gives_0_and_a_finite_gradient() -> None:
    # x ** 0.75 has an infinite slope at 0, and 0 * inf is not a number
    logits = patches([[200, -200, 200]]).float().requires_grad_()
    loss = focal_of_each_patch(logits, patches([[1, 0, 1]]), false_negatives=0.7, gamma=4 / 3)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == 0
    assert gradient.isfinite().all()
