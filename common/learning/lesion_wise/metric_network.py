"""The metric network F: lesion F1 of a soft prediction, with a gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from common.errors import ConfigError
from common.learning.networks.initialization import draw_gaussian
from common.recipe.loss import LesionWise

NEGATIVE_SLOPE = 0.1
N_EVENTS = 4
SMALLEST = 0.05
"""Added to every count, so that two empty masks give 1 and the gradient stays finite."""


def build_metric_network(
    settings: LesionWise, *, patch_shape: tuple[int, int, int], seed: int
) -> MetricNetwork:
    """The network with Gaussian kernels drawn from `seed`; torch's random state is unchanged.

    ConfigError where the patch cannot be halved as often as `settings.widths` asks.
    """
    with torch.random.fork_rng(devices=[]):  # constructors draw starting values of their own
        network = MetricNetwork(settings.widths)
    network.check(patch_shape)
    draw_gaussian(network, seed=seed, negative_slope=NEGATIVE_SLOPE)
    network.start_near_zero()
    return network


class MetricNetwork(nn.Module):
    """An estimate of lesion F1 of pairs of patches.

    widths   features at a half, a quarter, ... of the resolution, at least two

    Source   Kamraoui et al. 2021: convolutions, then fully connected layers, trained on lesion F1.
    Chosen   lesion F1 is made of four counts of local events: lesions found, missed, confirmed and
             false. So convolutions answer how much of each lies in every cell of 4 voxels, the
             cells are summed, and the formula takes the place of the fully connected layers. See
             ADR 0024 for the comparison. The two masks' product is a third channel; eight
             voxels are one place with eight times the channels, which loses nothing and is quick;
             coarser stages see whole lesions and are joined at the cells. Batch norm, which
             is fixed once trained: a norm over the patch would undo the counting.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self._multiple = 2 ** max(len(widths), 2)
        finest = widths[0]
        self.finest = nn.Sequential(_Unit(3 * 8, finest), _Unit(finest, finest))
        self.down = nn.ModuleList(
            nn.Sequential(_Unit(above, here, halve=True), _Unit(here, here))
            for above, here in pairwise(widths)
        )
        self.deepest = _Unit(widths[-1], widths[-1])
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose3d(below, here, 2, stride=2)
            for here, below in reversed(list(pairwise(widths[1:])))
        )
        self.join = nn.ModuleList(
            _Unit(2 * here, here) for here, _ in reversed(list(pairwise(widths[1:])))
        )
        self.events = nn.Conv3d(widths[1], N_EVENTS, 1)

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        """Estimated lesion F1, (B,), in [0, 1].

        pairs   (B, 2, i, j, k) in [0, 1]: reference, then probability of lesion
        """
        return lesion_f1_of(self.events_in_cells(pairs).sum((2, 3, 4)))

    def events_in_cells(self, pairs: torch.Tensor) -> torch.Tensor:
        """Lesions found, missed, confirmed and false in cells of 4 voxels, (B, 4, i/4, j/4, k/4).

        A lesion that lies in several cells counts in each by its share.
        """
        self.check(pairs.shape[2:])
        features = self.finest(_in_places(torch.cat([pairs, pairs[:, :1] * pairs[:, 1:]], dim=1)))
        skips = []
        for stage in self.down:
            features = stage(features)
            skips.append(features)
        features = self.deepest(skips.pop())
        for enlarge, join in zip(self.enlarge, self.join, strict=True):
            features = join(torch.cat([skips.pop(), enlarge(features)], dim=1))
        return nn.functional.softplus(self.events(features))

    def check(self, patch_shape: Sequence[int]) -> None:
        """ConfigError where a patch (i, j, k) cannot be halved as often as there are widths."""
        if len(patch_shape) != 3 or any(n == 0 or n % self._multiple for n in patch_shape):
            raise ConfigError(
                f"patches of shape {tuple(patch_shape)}: the metric network wants three multiples "
                f"of {self._multiple}, one halving for each of loss.lesion_wise.widths. Change "
                "sampling.patch_shape or take fewer widths."
            )

    def start_near_zero(self) -> None:
        """Sets the last layer so that an untrained network counts almost nothing in a cell."""
        with torch.no_grad():
            self.events.weight.mul_(0.1)
            assert self.events.bias is not None
            self.events.bias.fill_(math.log(math.expm1(0.02)))


def lesion_f1_of(counts: torch.Tensor) -> torch.Tensor:
    """Lesion F1 (B,) of soft counts (B, 4): lesions found, missed, confirmed and false."""
    found, missed, confirmed, false = counts.unbind(dim=1)
    ltpr = (found + SMALLEST) / (found + missed + SMALLEST)
    lppv = (confirmed + SMALLEST) / (confirmed + false + SMALLEST)
    return 2 * ltpr * lppv / (ltpr + lppv)


class _Unit(nn.Sequential):
    """Convolution, norm, leaky rectifier; `halve` halves the resolution."""

    def __init__(self, n_in: int, n_out: int, *, halve: bool = False) -> None:
        size, stride, padding = (2, 2, 0) if halve else (3, 1, 1)
        super().__init__(
            nn.Conv3d(n_in, n_out, size, stride=stride, padding=padding, bias=False),
            nn.BatchNorm3d(n_out, momentum=0.05),
            nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True),
        )


def _in_places(images: torch.Tensor) -> torch.Tensor:
    """Eight voxels as one place: (B, C, i, j, k) -> (B, 8 C, i/2, j/2, k/2)."""
    n, c, i, j, k = images.shape
    split = images.reshape(n, c, i // 2, 2, j // 2, 2, k // 2, 2)
    return split.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(n, 8 * c, i // 2, j // 2, k // 2)
