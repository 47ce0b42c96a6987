"""Gaussian starting values, drawn from a seed."""

from __future__ import annotations

import math

import torch
from torch import nn


def draw_gaussian(module: nn.Module, *, seed: int, negative_slope: float = 0.0) -> None:
    """Redraws the module's kernels from N(0, gain² / fan-in) and sets every bias to 0.

    negative_slope   of the rectifier that follows; gain² = 2 / (1 + slope²)
    Source           He et al. 2015, arXiv:1502.01852. Aslani 2020 says "Gaussian" and no more.

    The random numbers come from a generator of their own; torch's global one is not touched.
    """
    generator = torch.Generator().manual_seed(seed)
    gain = math.sqrt(2 / (1 + negative_slope**2))
    for layer in module.modules():
        if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d | nn.Linear):
            nn.init.normal_(layer.weight, std=gain / math.sqrt(_fan_in(layer)), generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _fan_in(layer: nn.Conv3d | nn.ConvTranspose3d | nn.Linear) -> int:
    """How many inputs are summed into one output."""
    if isinstance(layer, nn.ConvTranspose3d):
        assert layer.kernel_size == layer.stride, "otherwise outputs overlap and the sum is larger"
        return layer.in_channels
    return layer.weight[0].numel()
