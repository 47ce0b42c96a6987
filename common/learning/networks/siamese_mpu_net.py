"""Siamese MPU-Net: one segmentation block for both dates, then a refinement of both answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from common.errors import ConfigError
from common.learning.networks.initialization import draw_gaussian
from common.learning.networks.norm import build_norm
from common.recipe.network import SiameseMPUNetSettings

N_LEVELS = 4
MULTIPLE = 2 ** (N_LEVELS - 1)
"""What each side of a patch must be a multiple of: three halvings."""
FIRST_PROBABILITY = 0.05
"""Probability of lesion that an untrained network gives every voxel."""
REFINEMENT = (5, 5, 5, 4)
"""Features of the four convolutions that see both dates."""


def build_siamese_mpu_net(
    settings: SiameseMPUNetSettings, *, n_channels: int, n_outputs: int, seed: int
) -> SiameseMPUNet:
    """The recipe's network with Gaussian kernels drawn from `seed`.

    Torch's global random numbers stay where they were.
    """
    with torch.random.fork_rng(devices=[]):  # constructors draw starting values of their own
        network = SiameseMPUNet(settings, n_channels=n_channels, n_outputs=n_outputs)
    draw_gaussian(network, seed=seed)
    network.start_rarely()
    return network


class SiameseMPUNet(nn.Module):
    """Logits and bottleneck of a batch of patches that hold two dates.

    n_channels   the earlier date's modalities, then the later's
    n_outputs    raters and consensus

    Source   Fenneteau et al. 2021: one block with shared weights segments each date, nested
             decoders (Zhou et al. 2018, arXiv:1807.10165) with two convolutions a node, batch norm
             after each convolution, dropout in each block; all decoders' answers of both dates go
             through dropout and four convolutions with batch norm to the outputs. 40,465 learnable
             parameters and 28 convolutions at one modality and five outputs.
    Chosen   the layout, one of many with these totals: four levels of `features` (7) each; a node
             reads the encoder's features of its level, its neighbour's on the left and, doubled by
             the nearest voxel, its neighbour's below; a 1^3 convolution with batch norm answers
             for each of the three decoders; refinement 5, 5, 5, 4. A rectifier follows each norm
             but the answers'. Dropout, voxel by voxel, ends each encoder stage and node and
             begins the refinement. Max pooling. The dates stand beside each other in the batch, so
             batch norm sees them together. Group norm, to compare with: all features of a layer are
             one group, and the answers, of one feature each, have no norm, which would make a patch
             with and one without a lesion alike.
    """

    def __init__(self, settings: SiameseMPUNetSettings, *, n_channels: int, n_outputs: int) -> None:
        super().__init__()
        if n_channels % 2:
            raise ConfigError(
                f"network 'siamese-mpu-net' compares two dates of the same modalities, got "
                f"{n_channels} channels. Set task.target to 'new-lesions', or choose another "
                "network."
            )
        n = settings.features
        self.n_bottleneck = 2 * n
        self._checkpointing = settings.checkpointing
        self.encoder = nn.ModuleList(
            Block(n_channels // 2 if level == 0 else n, n, settings) for level in range(N_LEVELS)
        )
        # decoders[j][level]: the first column has no neighbour on the left but the encoder
        self.decoders = nn.ModuleList(
            nn.ModuleList(
                Node(2 * n if column == 0 else 3 * n, n, settings)
                for _ in range(N_LEVELS - 1 - column)
            )
            for column in range(N_LEVELS - 1)
        )
        self.answers = nn.ModuleList(
            nn.Sequential(nn.Conv3d(n, 1, 1), _answer_norm(settings)) for _ in self.decoders
        )
        widths = (2 * len(self.answers), *REFINEMENT)
        self.refinement = nn.Sequential(
            nn.Dropout(settings.dropout),
            *(
                MPUNetUnit(n_in, n_out, settings)
                for n_in, n_out in zip(widths, REFINEMENT, strict=False)
            ),
        )
        self.last = nn.Conv3d(REFINEMENT[-1], n_outputs, 1)
        # measured on one CPU core: channels last halves the time of a step
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload] # torch's stubs lack this form

    def start_rarely(self) -> None:
        """Sets every output to FIRST_PROBABILITY at the start, whatever the image.

        Chosen, after Lin et al. 2017, arXiv:1708.02002. With weights of full size, an output whose
        four weights are negative stays at 0 for hundreds of steps, because its inputs are
        rectified; and from one half everywhere batch Dice takes as many steps to decrease.
        """
        with torch.no_grad():
            self.last.weight.mul_(0.02)
            assert self.last.bias is not None, "the output convolution has a bias"
            self.last.bias.fill_(math.log(FIRST_PROBABILITY / (1 - FIRST_PROBABILITY)))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of lesion (B, R, i, j, k) and the bottleneck (B, 2 * features, ...).

        images   (B, C, i, j, k), each of i, j, k a multiple of 8

        The bottleneck is what the deepest convolution gives, before its norm (docs/adr/0038).
        """
        _check(images.shape)
        earlier_then_later = torch.cat(images.chunk(2, dim=1))
        answers, deepest = self._segment(
            earlier_then_later.contiguous(memory_format=torch.channels_last_3d)
        )
        refined = self._run(self.refinement, torch.cat(answers.chunk(2), dim=1))
        return self.last(refined), torch.cat(deepest.chunk(2), dim=1)

    def _segment(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The decoders' answers (2B, 3, i, j, k) and the bottleneck (2B, F, ...)."""
        encoded = [self._run(self.encoder[0], images)]
        for stage in self.encoder[1:-1]:
            encoded.append(self._run(stage, nn.functional.max_pool3d(encoded[-1], 2)))
        to_bottleneck, from_bottleneck = _halves(self.encoder[-1])
        bottleneck = self._run(to_bottleneck, nn.functional.max_pool3d(encoded[-1], 2))
        encoded.append(self._run(from_bottleneck, bottleneck))
        column, answers = encoded, []
        for nodes, answer in zip(self.decoders, self.answers, strict=True):
            assert isinstance(nodes, nn.ModuleList)
            beside = [
                (skip,) if column is encoded else (skip, left)
                for skip, left in zip(encoded, column, strict=False)
            ]
            column = [
                self._run(node, *near, below)
                for node, near, below in zip(nodes, beside, column[1:], strict=False)
            ]
            answers.append(answer(column[0]))
        return torch.cat(answers, dim=1), bottleneck

    def _run(self, part: nn.Module, *features: torch.Tensor) -> torch.Tensor:
        """What `part` makes of the features, its activations kept or computed again."""
        if not (self._checkpointing and torch.is_grad_enabled()):
            found: torch.Tensor = part(*features)
            return found
        again: torch.Tensor = checkpoint(
            part, *features, use_reentrant=False, context_fn=partial(_first_and_again, part)
        )
        return again


class MPUNetUnit(nn.Sequential):
    """Convolution, norm, rectifier."""

    def __init__(self, n_in: int, n_out: int, settings: SiameseMPUNetSettings) -> None:
        super().__init__(
            # its bias is idle before the norm, and counted in the paper's total
            nn.Conv3d(n_in, n_out, 3, padding=1),
            build_norm(settings.norm, n_out, n_groups=1),
            nn.ReLU(inplace=True),
        )


class Block(nn.Sequential):
    """Two units, then dropout."""

    def __init__(self, n_in: int, n_out: int, settings: SiameseMPUNetSettings) -> None:
        super().__init__(
            MPUNetUnit(n_in, n_out, settings),
            MPUNetUnit(n_out, n_out, settings),
            nn.Dropout(settings.dropout),
        )


def _halves(block: nn.Module) -> tuple[nn.Sequential, nn.Sequential]:
    """A block up to its last convolution, and from the norm after it."""
    assert isinstance(block, Block)
    first, second, dropout = block
    assert isinstance(second, nn.Sequential)
    convolution, *after = second
    return nn.Sequential(first, convolution), nn.Sequential(*after, dropout)


class Node(nn.Module):
    """A block that reads features of its own level and, enlarged, of the level below."""

    def __init__(self, n_in: int, n_out: int, settings: SiameseMPUNetSettings) -> None:
        super().__init__()
        self.block = Block(n_in, n_out, settings)

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Features (B, F, i, j, k); the last of those given has half as many voxels a side."""
        *beside, below = features
        enlarged = nn.functional.interpolate(below, scale_factor=2, mode="nearest")
        joined: torch.Tensor = self.block(torch.cat([*beside, enlarged], dim=1))
        return joined


def _answer_norm(settings: SiameseMPUNetSettings) -> nn.Module:
    return nn.BatchNorm3d(1) if settings.norm == "batch" else nn.Identity()


def _first_and_again(
    part: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """What surrounds the first pass through `part`, and the second on the way back."""
    return nullcontext(), _StatisticsUnchanged(part)


class _StatisticsUnchanged(AbstractContextManager[None]):
    """The running statistics stay as they are: the first pass has counted this batch.

    It can be entered again: two losses pass back one after the other.
    """

    def __init__(self, part: nn.Module) -> None:
        self._part = part
        self._kept: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __enter__(self) -> None:
        self._kept = [(buffer, buffer.clone()) for buffer in self._part.buffers()]

    def __exit__(self, *_: object) -> None:
        with torch.no_grad():
            for buffer, before in self._kept:
                buffer.copy_(before)


def _check(shape: Sequence[int]) -> None:
    voxels = tuple(shape[2:])
    if len(voxels) != 3 or any(n == 0 or n % MULTIPLE for n in voxels):
        raise ConfigError(
            f"patches of shape {voxels}: want three multiples of {MULTIPLE} (three halvings). "
            "Change sampling.patch_shape."
        )
