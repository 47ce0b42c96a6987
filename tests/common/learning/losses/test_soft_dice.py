from __future__ import annotations

from functools import partial

import pytest
import torch
from monai.losses.dice import DiceLoss

from common.learning.losses.soft_dice import soft_dice_loss

dice_of_each_patch = partial(soft_dice_loss, over="patch", epsilon=1e-5)


def patches(values: list[list[float]]) -> torch.Tensor:
    """(B, 1, n, 1, 1), one list a patch."""
    return torch.tensor(values, dtype=torch.float64)[:, None, :, None, None]


def test_one_patch_worked_by_hand() -> None:
    loss = dice_of_each_patch(torch.logit(patches([[0.5, 0.2, 0.9]])), patches([[1, 0, 1]]))
    # overlap 0.5 + 0.9 = 1.4; sum p² = 0.25 + 0.04 + 0.81 = 1.1; sum t² = 2
    # 1 - 2.8 / 3.1 = 0.0967742
    assert loss.item() == pytest.approx(1 - 2.8 / 3.1, abs=1e-5)


def test_each_patch_counts_the_same_whatever_its_lesions() -> None:
    loss = dice_of_each_patch(
        torch.logit(patches([[0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.8]])),
        patches([[1, 1, 1, 1], [0, 0, 0, 1]]),
    )
    # first: 2 * 2 / (1 + 4) = 0.8; second: 1.6 / (0.03 + 0.64 + 1) = 1.6 / 1.67
    # mean loss (0.2 + 0.07 / 1.67) / 2; summed over the batch it would be 1 - 5.6 / 6.67
    assert loss.item() == pytest.approx((0.2 + 0.07 / 1.67) / 2, abs=1e-5)


def test_over_the_batch_the_patches_have_one_dice() -> None:
    loss = soft_dice_loss(
        torch.logit(patches([[0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.8]])),
        patches([[1, 1, 1, 1], [0, 0, 0, 1]]),
        over="batch",
        epsilon=3.0,
    )
    # the two patches above: overlap 2 + 0.8 = 2.8; sizes 5 + 1.67 = 6.67; epsilon 3 a patch
    assert loss.item() == pytest.approx(1 - (5.6 + 6) / (6.67 + 6))


def test_over_the_batch_each_output_has_a_dice_of_its_own() -> None:
    # outputs are along the second axis: the two patches above as two outputs of one
    probability = patches([[0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.8]]).transpose(0, 1)
    truth = patches([[1, 1, 1, 1], [0, 0, 0, 1]]).transpose(0, 1)
    loss = soft_dice_loss(torch.logit(probability), truth, over="batch", epsilon=1e-5)
    assert loss.item() == pytest.approx((0.2 + 0.07 / 1.67) / 2, abs=1e-5)


def test_the_epsilon_of_a_patch_is_worked_by_hand() -> None:
    loss = soft_dice_loss(
        torch.logit(patches([[0.5, 0.2, 0.9]])), patches([[1, 0, 1]]), over="patch", epsilon=2.0
    )
    # 2 * 1.4 = 2.8 and 1.1 + 2 = 3.1, as above; 2 is added to both
    assert loss.item() == pytest.approx(1 - 4.8 / 5.1)


def test_the_slope_without_a_lesion_is_worked_by_hand() -> None:
    # sum p² = 0.25 + 0.04 = 0.29, e = 2: 1 - 2 / 2.29; slope in p: 2 p e / 2.29², in the logit
    # times p (1 - p): at p = 0.5 it is 2 * 0.5 * 2 / 2.29² * 0.25
    logits = torch.logit(patches([[0.5, 0.2]])).requires_grad_()
    loss = soft_dice_loss(logits, torch.zeros_like(logits), over="patch", epsilon=2.0)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(1 - 2 / 2.29)
    assert gradient[0, 0, 0].item() == pytest.approx(0.5 / 2.29**2)


def test_each_output_counts_the_same_whatever_its_lesions() -> None:
    # the two patches above as two outputs of one
    probability = patches([[0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.8]]).transpose(0, 1)
    truth = patches([[1, 1, 1, 1], [0, 0, 0, 1]]).transpose(0, 1)
    loss = dice_of_each_patch(torch.logit(probability), truth)
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
    loss = dice_of_each_patch(logits, torch.full(logits.shape, lesion == 1))
    assert loss.item() == pytest.approx(expected, abs=1e-4)


def test_agrees_with_monai() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 2, 4, 5, 6, generator=generator)
    truth = torch.rand(3, 2, 4, 5, 6, generator=generator) > 0.8
    expected = DiceLoss(sigmoid=True, squared_pred=True)(logits, truth.float()).item()
    assert dice_of_each_patch(logits, truth).item() == pytest.approx(expected, abs=1e-6)
