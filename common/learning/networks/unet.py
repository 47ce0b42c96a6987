"""3D U-Net of three or four stages down and as many up that also returns its bottleneck."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from common.errors import ConfigError
from common.learning.networks.initialization import draw_gaussian
from common.learning.networks.norm import build_norm
from common.recipe.network import UNetSettings
from common.recipe.norm_size import n_groups

NEGATIVE_SLOPE = 0.1

FULL_RESOLUTION_FEATURES = 8
"""At the images' own resolution, with `full_resolution` (chosen). A step of the default network
takes 2.6 times as long with them, and 1.9 times with 4."""


def build_unet(settings: UNetSettings, *, n_channels: int, n_outputs: int, seed: int) -> UNet:
    """The network with Gaussian kernels drawn from `seed`.

    Torch's global random numbers stay where they were.
    """
    with torch.random.fork_rng(devices=[]):  # constructors draw starting values of their own
        network = UNet(settings, n_channels=n_channels, n_outputs=n_outputs)
    draw_gaussian(network, seed=seed, negative_slope=NEGATIVE_SLOPE)
    network.start_at(settings.first_probability)
    return network


class UNet(nn.Module):
    """Logits and bottleneck of a batch of patches.

    Source   Çiçek et al. 2016, arXiv:1606.06650; with four stages, as in Aslani 2020, or three.
    Chosen   leaky rectifiers, a norm after each convolution, max pooling down and transposed
             convolutions up. The finest stage has one convolution on each side, the others two:
             it holds 8 times the voxels of the next, and a second one there costs most.
             With `first_stride` 2 a strided convolution halves the resolution first, and a
             transposed convolution doubles it again at the end. Adding the full-resolution images
             to the logits did not help in a trial, so they are not joined there. With
             `full_resolution` features of the images are: one convolution makes them, they are
             joined with the enlarged ones as at every stage, and one more follows.
    """

    def __init__(self, settings: UNetSettings, *, n_channels: int, n_outputs: int = 1) -> None:
        super().__init__()
        finest, *deeper = widths = settings.widths
        self._settings = settings
        self.n_bottleneck = widths[-1]
        self.stem: nn.Module = nn.Identity()
        if settings.first_stride == 2:
            self.stem = UNetUnit(n_channels, finest, settings, kernel_size=2, stride=2)
            self.last: nn.Module = nn.ConvTranspose3d(finest, 2 * n_outputs, 2, stride=2)
        else:
            self.last = nn.Conv3d(finest, 2 * n_outputs, 1)
        if settings.full_resolution:
            n_full = FULL_RESOLUTION_FEATURES
            self.full = UNetUnit(n_channels, n_full, settings)
            self.up_to_full = Up(finest, n_full, settings, n_convolutions=1)
            self.last = nn.Conv3d(n_full, 2 * n_outputs, 1)
        n_stem = finest if settings.first_stride == 2 else n_channels
        self.first = UNetUnit(n_stem, finest, settings)
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.MaxPool3d(2), UNetUnit(above, here, settings), UNetUnit(here, here, settings)
            )
            for above, here in zip(widths, deeper, strict=False)
        )
        self.up = nn.ModuleList(
            Up(below, here, settings, n_convolutions=1 if depth == 0 else 2)
            for depth, (here, below) in reversed(list(enumerate(zip(widths, deeper, strict=False))))
        )
        # measured on two CPU cores: channels last makes a step a quarter shorter
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload] # torch's stubs lack this form

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of lesion (B, R, i, j, k), one an output, and the bottleneck (B, F, ...).

        images   (B, C, i, j, k), each of i, j, k a multiple of the settings' `patch_multiple`

        The bottleneck is what the deepest convolution gives, before its norm: instance norm takes
        each patch's mean away, and with it most of what tells the scanners apart (docs/adr/0038).
        Two classes an output, background first: their softmax is the sigmoid of the difference.
        """
        self._check(images.shape)
        images = images.contiguous(memory_format=torch.channels_last_3d)
        features = self.first(self.stem(images))
        skips = []
        for stage in self.down:
            skips.append(features)
            to_bottleneck, from_bottleneck = _halves(stage)
            bottleneck = to_bottleneck(features)
            features = from_bottleneck(bottleneck)
        for stage in self.up:
            features = stage(features, skips.pop())
        if self._settings.full_resolution:
            features = self.up_to_full(features, self.full(images))
        classes = self.last(features)
        return classes[:, 1::2] - classes[:, ::2], bottleneck

    def start_at(self, probability: float) -> None:
        """Sets the bias of the lesion class so that an untrained network gives this probability.

        Source   Lin et al. 2017, arXiv:1708.02002.
        """
        bias = self.last.bias
        assert isinstance(bias, torch.Tensor), "the last convolution has a bias"
        with torch.no_grad():
            bias[1::2] = math.log(probability / (1 - probability))

    def _check(self, shape: Sequence[int]) -> None:
        multiple = self._settings.patch_multiple
        voxels = tuple(shape[2:])
        if len(voxels) != 3 or any(n == 0 or n % multiple for n in voxels):
            raise ConfigError(
                f"patches of shape {voxels}: want three multiples of {multiple} "
                f"({len(self._settings.widths) - 1} halvings after a first stride of "
                f"{self._settings.first_stride}). Change sampling.patch_shape."
            )


class UNetUnit(nn.Sequential):
    """Convolution, norm, leaky rectifier and, where the recipe says so, dropout."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        settings: UNetSettings,
        *,
        kernel_size: int = 3,
        stride: int = 1,
    ) -> None:
        padding = (kernel_size - stride + 1) // 2
        super().__init__(
            # no bias: the norm brings its own
            nn.Conv3d(n_in, n_out, kernel_size, stride=stride, padding=padding, bias=False),
            build_norm(settings.norm, n_out, n_groups=n_groups(n_out)),
            nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True),
        )
        if settings.dropout > 0:
            self.append(nn.Dropout(settings.dropout))


def _halves(stage: nn.Module) -> tuple[nn.Sequential, nn.Sequential]:
    """A stage down up to its last convolution, and from the norm after it."""
    assert isinstance(stage, nn.Sequential)
    *before, last = stage
    assert isinstance(last, nn.Sequential)
    convolution, *after = last
    return nn.Sequential(*before, convolution), nn.Sequential(*after)


class Up(nn.Module):
    """One stage up: doubled resolution, joined with the encoder's features of that resolution."""

    def __init__(
        self, n_below: int, n_here: int, settings: UNetSettings, *, n_convolutions: int
    ) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose3d(n_below, n_here, 2, stride=2)
        self.convolutions = nn.Sequential(
            UNetUnit(2 * n_here, n_here, settings),
            *(UNetUnit(n_here, n_here, settings) for _ in range(n_convolutions - 1)),
        )

    def forward(self, below: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Features at the skip's resolution, (B, n_here, ...)."""
        joined: torch.Tensor = self.convolutions(torch.cat([skip, self.enlarge(below)], dim=1))
        return joined
