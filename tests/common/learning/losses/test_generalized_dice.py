from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.losses.dice import GeneralizedDiceLoss

from common.learning.losses.generalized_dice import generalized_dice_loss
from common.learning.sampling.registry import build_sampler
from common.recipe.recipe import Scale, load_recipe, variants_of
from tests.patch_networks import BrainCase

SCALES: tuple[Scale, ...] = ("full", "small")


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


def in_one_batch(share: float, n: int, probability: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Loss and gradient of single voxels, the first `share` of them lesion."""
    truth = (torch.arange(n) < round(share * n))[:, None]
    logits = torch.logit(probability)[:, None].requires_grad_()
    loss = generalized_dice_loss(logits, truth)
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.item(), gradient[:, 0]


def test_with_as_many_lesion_voxels_as_others_it_is_the_mean_absolute_error() -> None:
    # V lesion voxels and V others: both weights alike, and both classes' predictions fill the
    # batch: 1 - 2 (overlaps) / (2 V + 2 V). An overlap is 1 - |p - t| of each voxel, summed
    # 2 V - A with A = sum |p - t|: 1 - 2 (2 V - A) / 4 V = A / 2 V, the mean of |p - t|
    generator = torch.Generator().manual_seed(3)
    probability = torch.rand(10, dtype=torch.float64, generator=generator) * 0.9 + 0.05
    loss, gradient = in_one_batch(0.5, 10, probability)
    error = torch.cat([1 - probability[:5], probability[5:]])
    assert loss == pytest.approx(error.mean().item())
    slope = probability * (1 - probability) / 10  # of the mean absolute error in a logit
    torch.testing.assert_close(gradient, torch.cat([-slope[:5], slope[5:]]))


def test_with_the_recipe_s_share_it_is_not_the_mean_absolute_error() -> None:
    # p = 1/2 everywhere: |p - t| has the mean 1/2 and slopes alike. The recipe's 128 voxels are
    # 38 lesion and 90 others (0.3): weights 1 and w = (38 / 90)², overlaps 19 and 45,
    # sums 38 + 64 and 90 + 64. Loss 1 - 2 N / D with N = 19 + 45 w, D = 102 + 154 w:
    # N = 27.0222, D = 129.4548, 1 - 54.0444 / 129.4548 = 0.5825. A lesion voxel adds 1 to N and
    # 1 - w to D for 1 of p, another takes w from N and adds 1 - w to D:
    # slopes (D - N (1 - w)) : (w D + N (1 - w)) = 107.25 : 45.28, which is 90 : 38
    settings = load_recipe("galassi2019").sampling
    loss, gradient = in_one_batch(
        settings.lesion_share, settings.batch_size, torch.full((128,), 0.5, dtype=torch.float64)
    )
    assert loss == pytest.approx(0.5825, abs=1e-4)
    assert (gradient[0] / gradient[-1]).item() == pytest.approx(-90 / 38)


def test_the_batches_of_the_recipe_are_not_half_lesion() -> None:
    for name in (None, *variants_of("galassi2019")):
        for scale in SCALES:
            recipe = load_recipe("galassi2019", variant=name, scale=scale)
            [image] = np.zeros((1, 2, 11, 11, 11), np.float32)
            lesion = np.zeros((11, 11, 11), bool)
            lesion[5, 5, 5] = True
            sampler = build_sampler(
                [BrainCase(image, np.ones_like(lesion), lesion)],
                recipe,
                negatives=[np.array([0], np.intp)],
            )
            truth = sampler.draw_batch(recipe.sampling.batch_size, np.random.default_rng(0))[1]
            assert truth.sum() == 38
