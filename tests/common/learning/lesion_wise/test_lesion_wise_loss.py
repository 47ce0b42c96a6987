from __future__ import annotations

import pytest
import torch

from common.errors import ModelFileError
from common.learning.lesion_wise.lesion_wise_loss import (
    frozen_metric_network,
    lesion_wise_loss,
    true_lesion_f1_mean,
)
from common.learning.lesion_wise.metric_network import MetricNetwork, build_metric_network
from common.learning.networks.parameters import parameters_of
from common.recipe.loss import LesionWise

SETTINGS = LesionWise(
    weight=0.2, widths=(3, 4), n_pairs=20, steps=2, batch_size=4, learning_rate=0.01
)


def frozen(shape: tuple[int, int, int]) -> MetricNetwork:
    network = build_metric_network(SETTINGS, patch_shape=shape, seed=2)
    return frozen_metric_network(SETTINGS, parameters_of(network), patch_shape=shape)


def random_batch(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(*shape, generator=generator)
    return logits, torch.rand(*shape, generator=generator) < 0.1


def test_the_loss_is_one_minus_the_mean_of_the_estimates_over_batch_and_outputs() -> None:
    network = frozen((8, 8, 12))
    logits, truth = random_batch(2, 3, 8, 8, 12)
    loss, estimates = lesion_wise_loss(network, logits, truth)
    assert len(estimates) == 6
    assert loss.item() == pytest.approx(1 - sum(estimates) / 6)
    one = network(torch.stack([truth[1, 0].float(), torch.sigmoid(logits[1, 0])])[None])
    assert one.item() == pytest.approx(estimates[3], abs=1e-6)  # batch first, then outputs


def test_gradients_reach_the_segmenter_and_never_the_metric_network() -> None:
    network = frozen((8, 8, 8))
    segmenter = torch.nn.Conv3d(2, 1, 3, padding=1)
    images, _ = random_batch(2, 2, 8, 8, 8)
    _, truth = random_batch(2, 1, 8, 8, 8)
    before = parameters_of(network)
    loss, _ = lesion_wise_loss(network, segmenter(images), truth)
    loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    assert segmenter.weight.grad is not None
    assert segmenter.weight.grad.abs().max() > 0
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())
    assert all((values == before[name]).all() for name, values in parameters_of(network).items())


def test_the_gradient_is_that_of_the_loss() -> None:
    network = frozen((4, 4, 4)).double()
    logits, truth = random_batch(1, 1, 4, 4, 4)
    torch.autograd.gradcheck(
        lambda z: lesion_wise_loss(network, z, truth)[0], logits.double().requires_grad_()
    )


@pytest.mark.parametrize("saturation", [-100.0, 100.0])
@pytest.mark.parametrize("full", [False, True])
def test_saturated_logits_have_finite_losses_and_gradients(saturation: float, full: bool) -> None:
    logits = torch.full((1, 1, 8, 8, 8), saturation, requires_grad=True)
    loss, _ = lesion_wise_loss(frozen((8, 8, 8)), logits, torch.full((1, 1, 8, 8, 8), full))
    loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    assert 0 <= loss.item() <= 1
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_half_precision_orders_ten_predictions_as_full_precision_does() -> None:
    network = frozen((8, 8, 8))
    logits, truth = random_batch(10, 1, 8, 8, 8)
    logits = (logits * torch.linspace(0.5, 4, 10).reshape(10, 1, 1, 1, 1)).bfloat16()
    _, full = lesion_wise_loss(network, logits.float(), truth)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, half = lesion_wise_loss(network, logits, truth)
    assert sorted(range(10), key=full.__getitem__) == sorted(range(10), key=half.__getitem__)


def test_true_lesion_f1_for_the_log_is_the_mean_over_batch_and_outputs() -> None:
    truth = torch.zeros(1, 2, 8, 8, 8, dtype=torch.bool)
    truth[:, :, 1:3, 1:3, 1:3] = True
    logits = torch.full((1, 2, 8, 8, 8), -3.0)
    logits[0, 0, 2, 2, 2] = 1.0  # first output: the lesion is touched, 1; second: empty, 0
    assert true_lesion_f1_mean(logits, truth) == pytest.approx(0.5)


def test_parameters_of_another_network_are_refused() -> None:
    wider = SETTINGS.model_copy(update={"widths": (5, 4)})
    network = build_metric_network(wider, patch_shape=(8, 8, 8), seed=0)
    with pytest.raises(ModelFileError, match=r"finest\.0\.0\.weight: want \(3, 24, 3, 3, 3\)"):
        frozen_metric_network(SETTINGS, parameters_of(network), patch_shape=(8, 8, 8))
