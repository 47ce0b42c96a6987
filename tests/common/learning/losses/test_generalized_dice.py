from __future__ import annotations

import pytest
import torch
from monai.losses.dice import GeneralizedDiceLoss

from common.learning.losses.generalized_dice import generalized_dice_loss


def logits_of(probability: list[list[float]]) -> torch.Tensor:
    """Logits (B, R) whose sigmoid gives these probabilities, one list a sample."""
    return torch.logit(torch.tensor(probability, dtype=torch.float64))


def test_one_batch_of_single_voxels_worked_by_hand() -> None:
    # lesion: volume 1, predicted 0.5 + 0.2 + 0.9 + 0.3 = 1.9, overlap 0.9
    # background: volume 3, predicted 2.1, overlap 0.5 + 0.8 + 0.7 = 2.0
    # weights 1 and 1/9: (0.9 + 2/9) / (2.9 + 5.1/9) = 10.1 / 31.2; 1 - 20.2 / 31.2
    loss = generalized_dice_loss(
        logits_of([[0.5], [0.2], [0.9], [0.3]]), torch.tensor([[0], [0], [1], [0]])
    )
    assert loss.item() == pytest.approx(1 - 20.2 / 31.2)


def test_volumes_are_those_of_the_whole_batch_not_of_a_sample() -> None:
    probability = torch.tensor([[0.5, 0.2, 0.9, 0.3], [0.4, 0.1, 0.7, 0.6]], dtype=torch.float64)
    truth = torch.tensor([[0, 0, 1, 0], [1, 0, 1, 1]])
    as_patches = generalized_dice_loss(torch.logit(probability)[:, None], truth[:, None])
    # lesion: volume 4, predicted 1.9 + 1.8 = 3.7, overlap 0.9 + 0.4 + 0.7 + 0.6 = 2.6
    # background: volume 4, predicted 4.3, overlap 2.0 + 0.9 = 2.9; equal weights
    assert as_patches.item() == pytest.approx(1 - 2 * 5.5 / 16)


def test_each_output_has_volumes_of_its_own() -> None:
    first, second = [[0.5], [0.2], [0.9]], [[0.6], [0.1], [0.3]]
    truth_1, truth_2 = torch.tensor([[0], [0], [1]]), torch.tensor([[1], [0], [1]])
    together = generalized_dice_loss(
        torch.cat([logits_of(first), logits_of(second)], 1), torch.cat([truth_1, truth_2], 1)
    )
    apart = [
        generalized_dice_loss(logits_of(first), truth_1).item(),
        generalized_dice_loss(logits_of(second), truth_2).item(),
    ]
    assert together.item() == pytest.approx(sum(apart) / 2)
    assert apart[0] != pytest.approx(apart[1], abs=0.01)


@pytest.mark.parametrize(
    ("truth", "expected"),
    [
        # both weights alike: 1 - 2 * (0.5 + 0.8 + 0.9) / (3 + 3) = 1 - 2.2 / 3 = 0.8 / 3
        pytest.param(0, (0.5 + 0.2 + 0.1) / 3, id="no lesion: mean probability of lesion"),
        pytest.param(1, (0.5 + 0.8 + 0.9) / 3, id="lesion alone: mean probability of background"),
    ],
)
def test_an_absent_class_weighs_as_much_as_the_other(truth: int, expected: float) -> None:
    loss = generalized_dice_loss(logits_of([[0.5], [0.2], [0.1]]), torch.full((3, 1), truth))
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("n_lesions", [0, 3, 64, 128])
def test_agrees_with_monai_on_two_class_logits(n_lesions: int) -> None:
    generator = torch.Generator().manual_seed(0)
    two_classes = torch.randn(128, 2, dtype=torch.float64, generator=generator)
    truth = torch.arange(128)[:, None] < n_lesions
    monai = GeneralizedDiceLoss(
        softmax=True,
        batch=True,
        w_type="square",
        to_onehot_y=True,
        smooth_nr=1e-12,
        smooth_dr=1e-12,
    )
    expected = monai(two_classes, truth.double()).item()
    # softmax of two is the sigmoid of their difference
    difference = two_classes[:, 1:] - two_classes[:, :1]
    assert generalized_dice_loss(difference, truth).item() == pytest.approx(expected, abs=1e-7)


def test_a_large_volume_does_not_sink_below_an_epsilon() -> None:
    # 10⁶ voxels: weights of 10⁻¹² would vanish beside the 10⁻⁵ that libraries add
    truth = torch.zeros(1, 1, 100, 100, 100)
    truth[..., :10] = 1
    logits = torch.zeros(1, 1, 100, 100, 100)
    # volumes 1 : 9, half predicted each, in units of the lesion: (0.5 + 4.5 / 81) /
    # (1 + 5 + (9 + 5) / 81) = 45 / 500: 1 - 90 / 500
    assert generalized_dice_loss(logits, truth).item() == pytest.approx(1 - 90 / 500, abs=1e-5)
