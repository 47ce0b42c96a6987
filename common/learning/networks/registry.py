"""Every network by its name in a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from common.learning.networks.cascade import build_cascade
from common.learning.networks.siamese_mpu_net import build_siamese_mpu_net
from common.learning.networks.unet import build_unet
from common.recipe.network import Network

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "unet": build_unet,
    "cascade": build_cascade,
    "siamese-mpu-net": build_siamese_mpu_net,
}
"""Settings, n_channels, n_outputs and seed in; a module out, whose weights are drawn from the seed.

The module turns images (B, C, i, j, k) into logits of lesion (B, R, ...), the consensus last, and
a bottleneck (B, F, ...); its attribute `n_bottleneck` is F.
"""


def build_network(settings: Network, *, n_channels: int, n_outputs: int, seed: int) -> nn.Module:
    """The recipe's network with its starting values."""
    build = NETWORKS[settings.name]
    return build(settings, n_channels=n_channels, n_outputs=n_outputs, seed=seed)
