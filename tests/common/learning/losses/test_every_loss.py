"""What holds for every loss, whatever it measures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch

from common.learning.losses.batch_dice import batch_dice_loss
from common.learning.losses.binary_cross_entropy import binary_cross_entropy_loss
from common.learning.losses.dice_and_bce import dice_and_bce_loss
from common.learning.losses.focal_tversky import focal_tversky_loss
from common.learning.losses.generalized_dice import generalized_dice_loss
from common.learning.losses.site_loss import pearson, random, uniform
from common.learning.losses.soft_dice import soft_dice_loss
from common.learning.losses.tversky import tversky_loss

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

SEGMENTATION: dict[str, Loss] = {
    "soft-dice": partial(soft_dice_loss, over="patch", epsilon=1e-5),
    "soft-dice-over-batch": partial(soft_dice_loss, over="batch", epsilon=30.0),
    "dice-and-bce": partial(dice_and_bce_loss, over="batch", epsilon=30.0),
    "generalized-dice": generalized_dice_loss,
    "binary-cross-entropy": binary_cross_entropy_loss,
    "tversky": partial(tversky_loss, false_negatives=0.7, over="patch", epsilon=1e-5),
    "tversky-over-batch": partial(tversky_loss, false_negatives=0.7, over="batch", epsilon=30.0),
    "focal-tversky": partial(
        focal_tversky_loss, false_negatives=0.7, gamma=4 / 3, over="patch", epsilon=1e-5
    ),
    "focal-tversky-over-batch": partial(
        focal_tversky_loss, false_negatives=0.7, gamma=4 / 3, over="batch", epsilon=30.0
    ),
    "batch-dice-corrected": partial(batch_dice_loss, form="corrected", epsilon=30.0),
    "batch-dice-literal": partial(batch_dice_loss, form="literal", epsilon=1e-5),
}
every_segmentation_loss = pytest.mark.parametrize(
    "loss", [pytest.param(loss, id=name) for name, loss in SEGMENTATION.items()]
)


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pearson_of_site_1(logits: torch.Tensor) -> torch.Tensor:
    return pearson(logits, torch.ones(len(logits), dtype=torch.int64))


def random_site(logits: torch.Tensor) -> torch.Tensor:
    return random(logits, drawn(3))  # the same sites at every call


SITE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "pearson": pearson_of_site_1,
    "uniform": uniform,
    "random": random_site,
}
every_site_loss = pytest.mark.parametrize(
    "loss", [pytest.param(loss, id=name) for name, loss in SITE.items()]
)


def gradient_of(loss: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(loss, logits)
    return gradient


@every_segmentation_loss
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((2, 1, 3, 2, 2), id="one output"),
        pytest.param((2, 3, 2, 1, 3), id="three outputs"),
        pytest.param((5, 1), id="no space"),
    ],
)
def test_gradient_agrees_with_finite_differences(loss: Loss, shape: tuple[int, ...]) -> None:
    logits = torch.randn(shape, dtype=torch.float64, generator=drawn(0)).requires_grad_()
    truth = torch.rand(shape, generator=drawn(1)) > 0.6
    assert truth.any()
    assert torch.autograd.gradcheck(lambda x: loss(x, truth), (logits,))


@every_segmentation_loss
def test_gradient_without_any_lesion_agrees_with_finite_differences(loss: Loss) -> None:
    logits = torch.randn(2, 2, 2, 3, 1, dtype=torch.float64, generator=drawn(2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, torch.zeros_like(x)), (logits,))


@every_segmentation_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("logit", [-100.0, 0.0, 100.0])
@pytest.mark.parametrize("lesion", ["nowhere", "everywhere", "here and there"])
def test_loss_and_gradient_are_finite_on_empty_full_and_saturated_patches(
    loss: Loss, lesion: str, logit: float, dtype: torch.dtype
) -> None:
    logits = torch.full((2, 3, 4, 5, 6), logit, dtype=dtype, requires_grad=True)
    truth = {
        "nowhere": torch.zeros(2, 3, 4, 5, 6, dtype=torch.bool),
        "everywhere": torch.ones(2, 3, 4, 5, 6, dtype=torch.bool),
        "here and there": torch.rand(2, 3, 4, 5, 6, generator=drawn(4)) > 0.7,
    }[lesion]
    found = loss(logits, truth)
    assert found.shape == ()
    assert found.isfinite()
    assert gradient_of(found, logits).isfinite().all()


@every_segmentation_loss
def test_loss_and_gradient_are_finite_where_the_match_is_perfect_or_all_wrong(loss: Loss) -> None:
    truth = torch.rand(2, 3, 4, 5, 6, generator=drawn(5)) > 0.7
    for sure in (100.0, -100.0):
        logits = torch.where(truth, sure, -sure).requires_grad_()
        found = loss(logits, truth)
        assert found.isfinite()
        assert gradient_of(found, logits).isfinite().all()


@every_segmentation_loss
def test_a_better_prediction_has_a_lower_loss(loss: Loss) -> None:
    truth = torch.rand(2, 2, 4, 5, 3, generator=drawn(6)) > 0.8
    sign = 2 * truth.float() - 1
    losses = [loss(sure * sign, truth).item() for sure in (-4.0, -1.0, 0.0, 1.0, 4.0)]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == 5


@every_segmentation_loss
def test_a_step_down_the_gradient_lowers_the_loss_without_a_lesion_too(loss: Loss) -> None:
    logits = (torch.randn(2, 2, 3, 2, 4, generator=drawn(7)) - 3).requires_grad_()
    truth = torch.zeros(2, 2, 3, 2, 4)
    before = loss(logits, truth)
    gradient = gradient_of(before, logits)
    # along the gradient's direction by one hundredth of a logit a voxel, whatever its size
    step = 0.01 * gradient / gradient.abs().max()
    assert loss(logits - step, truth) < before


@every_segmentation_loss
def test_truth_may_be_bool_or_of_any_type_with_0_and_1(loss: Loss) -> None:
    logits = torch.randn(2, 1, 3, 4, 2, generator=drawn(8))
    truth = torch.rand(2, 1, 3, 4, 2, generator=drawn(9)) > 0.5
    assert loss(logits, truth) == loss(logits, truth.float())
    assert loss(logits, truth) == loss(logits, truth.to(torch.uint8))


@every_segmentation_loss
def test_bf16_autocast_orders_ten_predictions_as_float32_does(loss: Loss) -> None:
    truth = torch.rand(2, 2, 8, 6, 7, generator=drawn(10)) > 0.8
    noise = torch.randn(10, 2, 2, 8, 6, 7, generator=drawn(11))
    # from mostly wrong to mostly right, in mixed order
    skill = torch.tensor([0.3, -0.9, 1.5, -0.3, 2.1, 0.0, -0.6, 0.9, 1.2, 0.6])
    features = skill[:, None, None, None, None, None] * (2 * truth - 1.0) + noise
    network = torch.nn.Conv3d(2, 2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.eye(2)[..., None, None, None] * 1.3)
        network.bias.fill_(-0.7)  # type: ignore[union-attr] # it has one
        plain = [loss(network(one), truth).item() for one in features]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert network(features[0]).dtype == torch.bfloat16
            mixed = [loss(network(one), truth).item() for one in features]
    assert sorted(range(10), key=plain.__getitem__) == sorted(range(10), key=mixed.__getitem__)
    assert len(set(mixed)) == 10
    assert mixed == pytest.approx(plain, rel=5e-3, abs=5e-3)


@every_segmentation_loss
def test_bf16_logits_of_a_large_patch_keep_a_small_lesion(loss: Loss) -> None:
    # 64³ voxels: a running sum in bf16 stops growing at 256
    truth = torch.zeros(1, 1, 64, 64, 64, dtype=torch.bool)
    truth[..., :3, :3, :3] = True
    logits = torch.where(truth, 4.0, -6.0)
    assert loss(logits.bfloat16(), truth).item() == pytest.approx(
        loss(logits, truth).item(), rel=1e-5
    )


@every_site_loss
def test_site_gradient_agrees_with_finite_differences(
    loss: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    logits = torch.randn(4, 3, dtype=torch.float64, generator=drawn(12)).requires_grad_()
    assert torch.autograd.gradcheck(loss, (logits,))


@every_site_loss
@pytest.mark.parametrize("logit", [-100.0, 0.0, 100.0])
@pytest.mark.parametrize("site", [0, 1, None])
def test_site_loss_and_gradient_are_finite_on_constant_and_saturated_answers(
    loss: Callable[[torch.Tensor], torch.Tensor], site: int | None, logit: float
) -> None:
    logits = torch.zeros(4, 3)
    if site is None:
        logits += logit
    else:
        logits[:, site] = logit
    logits.requires_grad_()
    found = loss(logits)
    assert found.isfinite()
    assert gradient_of(found, logits).isfinite().all()


@every_site_loss
def test_bf16_autocast_orders_ten_site_answers_as_float32_does(
    loss: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    # the head's answer grows from answer to answer, and its own site is one among five
    head = torch.nn.Linear(3, 5)
    with torch.no_grad():
        head.weight.copy_(torch.randn(5, 3, generator=drawn(13)))
        head.bias.zero_()
        features = torch.randn(6, 3, generator=drawn(14))
        strength = [1.3, 0.1, 2.9, 0.7, 1.9, 0.3, 2.5, 1.0, 3.4, 1.6]
        plain = [loss(head(features * s)).item() for s in strength]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert head(features).dtype == torch.bfloat16
            mixed = [loss(head(features * s)).item() for s in strength]
    assert sorted(range(10), key=plain.__getitem__) == sorted(range(10), key=mixed.__getitem__)
