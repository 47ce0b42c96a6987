"""Two small networks in a row; each predicts whether the centre voxel of a patch is lesion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from common.errors import ConfigError
from common.learning.networks.initialization import draw_gaussian
from common.learning.networks.norm import build_norm
from common.recipe.network import CASCADE_WIDTHS, CascadeSettings
from common.recipe.norm_size import n_groups

PATCH_SIDE = 11
"""Voxels of a patch along each axis; the centre is index 5."""

N_BOTTLENECK = 256

Stage = Literal["first", "second"]


def build_cascade(
    settings: CascadeSettings, *, n_channels: int, n_outputs: int, seed: int
) -> Cascade:
    """Both networks with Gaussian kernels drawn from `seed`, set to the first stage.

    n_outputs   1: the class of the centre voxel; else ConfigError

    Torch's global random numbers stay where they were. The paper names no starting values: He's
    spread for a rectifier is chosen.
    """
    if n_outputs != 1:
        raise ConfigError(
            f"network 'cascade' with {n_outputs} outputs: it has one output. "
            "Set task.raters to 0, or choose another network."
        )
    with torch.random.fork_rng(devices=[]):  # constructors draw starting values of their own
        cascade = Cascade(settings, n_channels=n_channels)
    draw_gaussian(cascade, seed=seed)
    return cascade


class PatchCNN(nn.Module):
    """Lesion logit of a patch's centre voxel, and the features it was decided on.

    Source   Valverde et al. 2017, NeuroImage 155: 11 voxels a side; 32 and 64 kernels of 3 x 3 x 3
             with "same" padding and no bias, each with batch norm, rectifier and max pooling by 2;
             dropout; 256 dense features; two classes. 189,058 parameters at two channels.
    Chosen   group norm is there to compare with: it needs no statistics of an unseen site.
    """

    n_bottleneck = N_BOTTLENECK

    def __init__(self, settings: CascadeSettings, *, n_channels: int) -> None:
        super().__init__()
        first, second = CASCADE_WIDTHS
        self.conv_1 = nn.Conv3d(n_channels, first, 3, padding=1, bias=False)
        self.norm_1 = build_norm(settings.norm, first, n_groups=n_groups(first))
        self.conv_2 = nn.Conv3d(first, second, 3, padding=1, bias=False)
        self.norm_2 = build_norm(settings.norm, second, n_groups=n_groups(second))
        self.dropout = nn.Dropout(settings.dropout)
        # 11 halved twice, rounded down, is 2
        self.dense_1 = nn.Linear(second * 2**3, N_BOTTLENECK)
        self.dense_2 = nn.Linear(N_BOTTLENECK, 2)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logit of lesion (B, 1) and the dense features (B, 256).

        images   (B, C, 11, 11, 11)

        The softmax of two classes is the sigmoid of their difference, lesion minus background.
        """
        _check(images.shape)
        features = nn.functional.max_pool3d(torch.relu(self.norm_1(self.conv_1(images))), 2)
        features = nn.functional.max_pool3d(torch.relu(self.norm_2(self.conv_2(features))), 2)
        bottleneck = torch.relu(self.dense_1(self.dropout(features.flatten(1))))
        background, lesion = self.dense_2(bottleneck).split(1, dim=1)
        return lesion - background, bottleneck


class Cascade(nn.Module):
    """Two identical networks; the second separates lesions from what the first takes for lesion.

    stage   which of the two `forward` runs: training sets it
    Source  Valverde et al. 2017, as Galassi 2019 uses it.
    """

    n_bottleneck = N_BOTTLENECK

    def __init__(self, settings: CascadeSettings, *, n_channels: int) -> None:
        super().__init__()
        self.first = PatchCNN(settings, n_channels=n_channels)
        self.second = PatchCNN(settings, n_channels=n_channels)
        self.stage: Stage = "first"

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The stage's network: logit of lesion (B, 1) and dense features (B, 256)."""
        network = self.first if self.stage == "first" else self.second
        answer: tuple[torch.Tensor, torch.Tensor] = network(images)
        return answer


def _check(shape: Sequence[int]) -> None:
    if tuple(shape[2:]) != (PATCH_SIDE,) * 3:
        raise ConfigError(
            f"patches of shape {tuple(shape[2:])}: the cascade wants ({PATCH_SIDE}, {PATCH_SIDE}, "
            f"{PATCH_SIDE}). Change sampling.patch_shape."
        )
