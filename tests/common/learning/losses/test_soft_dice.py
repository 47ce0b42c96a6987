from __future__ import annotations

import math

import pytest
import torch
from monai.losses.dice import DiceLoss

from common.learning.losses.soft_dice import soft_dice_loss


def logits_of(probability: list[list[float]]) -> torch.Tensor:
    """Logits (B, 2, n, 1, 1) whose softmax gives these lesion probabilities, one list a patch.

    The background's logit is 3, not 0: only the difference may count.
    """
    p = torch.tensor(probability, dtype=torch.float64)[:, :, None, None]
    return torch.stack([torch.full_like(p, 3.0), 3.0 + torch.logit(p)], dim=1)


def lesions_of(truth: list[list[int]]) -> torch.Tensor:
    return torch.tensor(truth)[:, :, None, None] == 1


def test_one_patch_worked_by_hand() -> None:
    loss = soft_dice_loss(logits_of([[0.5, 0.2, 0.9]]), lesions_of([[1, 0, 1]]))
    # overlap 0.5 + 0.9 = 1.4; sum p² = 0.25 + 0.04 + 0.81 = 1.1; sum t² = 2
    # 1 - 2.8 / 3.1 = 0.0967742
    assert loss.item() == pytest.approx(1 - 2.8 / 3.1, abs=1e-5)


def test_each_patch_counts_the_same_whatever_its_lesions() -> None:
    loss = soft_dice_loss(
        logits_of([[0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.8]]),
        lesions_of([[1, 1, 1, 1], [0, 0, 0, 1]]),
    )
    # first: 2 * 2 / (1 + 4) = 0.8; second: 1.6 / (0.03 + 0.64 + 1) = 1.6 / 1.67
    # mean loss (0.2 + 0.07 / 1.67) / 2; summed over the batch it would be 1 - 5.6 / 6.67
    assert loss.item() == pytest.approx((0.2 + 0.07 / 1.67) / 2, abs=1e-5)


@pytest.mark.parametrize(
    ("saturation", "truth", "expected"),
    [
        pytest.param(-1e4, 0, 0.0, id="empty and none predicted"),
        pytest.param(1e4, 1, 0.0, id="full and all predicted"),
        pytest.param(-1e4, 1, 1.0, id="full and none predicted"),
        pytest.param(1e4, 0, 1.0, id="empty and all predicted"),
    ],
)
def test_extremes_have_finite_losses_and_gradients(
    saturation: float, truth: int, expected: float
) -> None:
    logits = torch.zeros(2, 2, 3, 4, 5)
    logits[:, 1] = saturation
    logits.requires_grad_()
    loss = soft_dice_loss(logits, torch.full((2, 3, 4, 5), truth == 1))
    loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    assert loss.item() == pytest.approx(expected, abs=1e-4)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_gradient_agrees_with_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 2, 3, 2, dtype=torch.float64, generator=generator)
    lesions = torch.rand(2, 2, 3, 2, generator=generator) > 0.6
    assert torch.autograd.gradcheck(
        lambda x: soft_dice_loss(x, lesions), (logits.requires_grad_(),)
    )


def test_agrees_with_monai() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 2, 4, 5, 6, generator=generator)
    lesions = torch.rand(3, 4, 5, 6, generator=generator) > 0.8
    monai = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, squared_pred=True)
    expected = monai(logits, lesions[:, None].float()).item()
    assert soft_dice_loss(logits, lesions).item() == pytest.approx(expected, abs=1e-6)
    assert math.isfinite(expected)
