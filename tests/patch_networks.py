"""Small patch networks with a story, and a case for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from common.arrays import BoolArray, Float32Array
from common.learning.networks.cascade import PatchCNN
from common.learning.networks.initialization import draw_gaussian
from common.recipe.network import CascadeSettings


@dataclass(frozen=True)
class BrainCase:
    """A case for samplers: image (C, i, j, k), brain and lesions (i, j, k)."""

    image: Float32Array
    brain: BoolArray
    lesions: BoolArray | None

    def references(self, n_outputs: int) -> tuple[BoolArray, ...]:
        """The lesions, once an output."""
        assert self.lesions is not None
        return (self.lesions,) * n_outputs


def sees_bright_voxels(*, n_channels: int, logit: float, bias: float) -> PatchCNN:
    """A network whose logit is `bias`, plus `logit` times what channel 0 holds near the centre.

    The first of 32 and of 64 features copies its input; the dense layer sums its 2 x 2 x 2 maxima.
    Pooling 11 to 5 to 2 takes them over indices 0 to 3 and 4 to 7 of the patch along each axis. The
    centre is index 5: 5 to 2 voxels before it, and 1 before to 2 after it. Negative values count 0.
    """
    network = PatchCNN(CascadeSettings(name="cascade"), n_channels=n_channels).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for norm in (network.norm_1, network.norm_2):
            assert isinstance(norm, nn.BatchNorm3d)
            norm.weight.fill_(1)
            assert norm.running_var is not None
            norm.running_var.fill_(1 - norm.eps)  # so that the norm changes nothing
        network.conv_1.weight[0, 0, 1, 1, 1] = 1
        network.conv_2.weight[0, 0, 1, 1, 1] = 1
        network.dense_1.weight[0, :8] = 1
        network.dense_2.weight[1, 0] = logit
        network.dense_2.bias[1] = bias
    return network


def drawn_network(*, n_channels: int, seed: int) -> PatchCNN:
    """Gaussian kernels and norms that have seen data, with scales of both signs.

    On noise of standard deviation 1 its logits have mean 0 and standard deviation 2, so that
    probabilities are anything from 0 to 1.
    """
    network = PatchCNN(CascadeSettings(name="cascade"), n_channels=n_channels)
    draw_gaussian(network, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for norm in (network.norm_1, network.norm_2):
            assert isinstance(norm, nn.BatchNorm3d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.weight.normal_(generator=generator)
            norm.bias.normal_(generator=generator)
            norm.running_mean.normal_(generator=generator)
            norm.running_var.uniform_(0.3, 3.0, generator=generator)
        network.dense_1.bias.normal_(generator=generator)
        noise = torch.randn(64, n_channels, 11, 11, 11, generator=generator)
        logits, _ = network.eval()(noise)
        sharper = 2 / logits.std()
        network.dense_2.weight *= sharper
        network.dense_2.bias[1] -= sharper * logits.mean()
    return network
