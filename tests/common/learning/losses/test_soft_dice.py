from __future__ import annotations

import pytest
import torch
from monai.losses.dice import DiceLoss

from common.learning.losses.soft_dice import soft_dice_loss


def patches(values: list[list[float]]) -> torch.Tensor:
    """(B, 1, n, 1, 1), one list a patch."""
    return torch.tensor(values, dtype=torch.float64)[:, None, :, None, None]


def test_one_patch_worked_by_hand() -> None:
    loss = soft_dice_loss(torch.logit(patches([[0.5, 0.2, 0.9]])), patches([[1, 0, 1]]))
    # overlap 0.5 + 0.9 = 1.4; sum p² = 0.25 + 0.04 + 0.81 = 1.1; sum t² = 2
    # 1 - 2.8 / 3.1 = 0.0967742
    assert loss.item() == pytest.approx(1 - 2.8 / 3.1, abs=1e-5)


def test_each_patch_counts_the_same_whatever_its_lesions() -> None:
    loss = soft_dice_loss(
        torch.logit(patches([[0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.8]])),
        patches([[1, 1, 1, 1], [0, 0, 0, 1]]),
    )
    # first: 2 * 2 / (1 + 4) = 0.8; second: 1.6 / (0.03 + 0.64 + 1) = 1.6 / 1.67
    # mean loss (0.2 + 0.07 / 1.67) / 2; summed over the batch it would be 1 - 5.6 / 6.67
    assert loss.item() == pytest.approx((0.2 + 0.07 / 1.67) / 2, abs=1e-5)


def test_each_output_counts_the_same_whatever_its_lesions() -> None:
    # the two patches above as two outputs of one
    probability = patches([[0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.8]]).transpose(0, 1)
    truth = patches([[1, 1, 1, 1], [0, 0, 0, 1]]).transpose(0, 1)
    loss = soft_dice_loss(torch.logit(probability), truth)
    assert loss.item() == pytest.approx((0.2 + 0.07 / 1.67) / 2, abs=1e-5)


@pytest.mark.parametrize(
    ("saturation", "lesion", "expected"),
    [
        pytest.param(-1e4, 0, 0.0, id="empty and none predicted"),
        pytest.param(1e4, 1, 0.0, id="full and all predicted"),
        pytest.param(-1e4, 1, 1.0, id="full and none predicted"),
        pytest.param(1e4, 0, 1.0, id="empty and all predicted"),
    ],
)
def test_extremes(saturation: float, lesion: int, expected: float) -> None:
    logits = torch.full((2, 3, 3, 4, 5), saturation)
    loss = soft_dice_loss(logits, torch.full(logits.shape, lesion == 1))
    assert loss.item() == pytest.approx(expected, abs=1e-4)


def test_agrees_with_monai() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 2, 4, 5, 6, generator=generator)
    truth = torch.rand(3, 2, 4, 5, 6, generator=generator) > 0.8
    expected = DiceLoss(sigmoid=True, squared_pred=True)(logits, truth.float()).item()
    assert soft_dice_loss(logits, truth).item() == pytest.approx(expected, abs=1e-6)
