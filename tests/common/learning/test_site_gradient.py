from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from common.learning.networks.siamese_mpu_net import build_siamese_mpu_net
from common.learning.site_gradient import SiteGradient
from common.recipe.network import SiameseMPUNetSettings


def bare(module: nn.Module) -> list[float]:
    return [float(p.grad) for p in module.parameters() if p.grad is not None]


class Line(nn.Module):
    """a is the encoder's one number, b the decoder's."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))
        self.b = nn.Parameter(torch.tensor(b))


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        # others: 6 (2a) + b, gradients 6 on a and 1 on b; site: -12 a, so -12 on a: ratio 2
        pytest.param(None, 6 - 12, id="whole"),
        pytest.param(3.0, 6 - 12, id="shorter than the bound"),
        pytest.param(0.5, 6 - 3, id="half of 6"),
    ],
)
def test_the_gradients_add_up_within_the_bound(bound: float | None, expected: float) -> None:
    network = Line(1.0, 2.0)
    gradient = SiteGradient(network, None, bound=bound, proximal=0)
    (6 * network.a + network.b).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    added = gradient.add(-12 * network.a)
    assert bare(network) == pytest.approx([expected, 1])
    assert added.ratio == pytest.approx(2)
    assert added.penalty == 0


def test_where_the_other_losses_have_no_gradient_a_bounded_site_loss_adds_none() -> None:
    network = Line(1.0, 2.0)
    gradient = SiteGradient(network, None, bound=10.0, proximal=0)
    (0 * network.a + network.b).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    assert gradient.add(5 * network.a).ratio is None
    assert bare(network) == [0, 1]


def test_the_pull_is_on_the_encoder_alone_and_squared() -> None:
    network = Line(1.0, 2.0)
    gradient = SiteGradient(network, None, bound=None, proximal=4.0)
    with torch.no_grad():
        network.a.sub_(0.5)
        network.b.add_(3)
    (network.a + network.b).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    # a moved by -1/2: 4 * -1/2 on its gradient, and 4 / 2 * 1/4 as the penalty
    assert gradient.add(2 * network.a).penalty == pytest.approx(0.5)
    assert bare(network) == pytest.approx([1 + 2 - 2, 1])


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_activations_that_are_computed_again_give_the_same_gradients(dropout: float) -> None:
    """Two passes back through checkpoints; the running statistics count the batch once."""
    ends = []
    for checkpointing in (False, True):
        settings = SiameseMPUNetSettings(
            name="siamese-mpu-net", features=3, dropout=dropout, checkpointing=checkpointing
        )
        network = build_siamese_mpu_net(settings, n_channels=2, n_outputs=1, seed=0)
        gradient = SiteGradient(network, None, bound=0.3, proximal=0)
        images = torch.randn(2, 2, 16, 8, 24, generator=torch.Generator().manual_seed(0))
        torch.manual_seed(3)
        logits, bottleneck = network(images)
        logits.square().mean().backward(retain_graph=True)
        assert gradient.add(100 * bottleneck.square().mean()).ratio is not None
        ends.append(network)
    plain, again = ends
    for (name, kept), computed in zip(plain.named_parameters(), again.parameters(), strict=True):
        assert kept.grad is not None
        assert computed.grad is not None
        np.testing.assert_allclose(kept.grad, computed.grad, rtol=1e-3, atol=1e-6, err_msg=name)
    assert again.get_buffer("encoder.3.1.1.num_batches_tracked") == 1
