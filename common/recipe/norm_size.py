"""How many values a norm of a network takes mean and variance of, and how many it needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Norm = Literal["instance", "group", "batch"]
Shape = tuple[int, int, int]

LEAST_VALUES = 16
"""A norm leaves one value 0 and two values -1 and 1, whatever they were; of n values none is left
farther from 0 than the square root of n - 1. Chosen: 16, which allow 3.9."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NormSize:
    """The values that one norm of a network takes its mean and variance of.

    where        in the network
    voxels       along (i, j, k), where the norm is applied
    n_samples    normed together: those of the batch in batch norm, else 1
    n_features   normed together: those of one group in group norm, else 1
    change       besides a larger patch, what gives it more values
    """

    norm: Norm
    where: str
    voxels: Shape
    n_samples: int
    n_features: int
    change: str

    @property
    def n_values(self) -> int:
        """Voxels, over all samples and features that are normed together."""
        return math.prod(self.voxels) * self.n_samples * self.n_features

    def __str__(self) -> str:
        factors = f"{' x '.join(map(str, self.voxels))} voxels"
        if self.norm == "batch":
            factors += f" x {self.n_samples} samples"
        if self.norm == "group":
            factors += f" x {self.n_features} features"
        return f"{self.n_values} {'value' if self.n_values == 1 else 'values'} ({factors})"


def norm_size(
    norm: Norm,
    where: str,
    patch_shape: Shape,
    *,
    divisor: int,
    batch_size: int,
    features_in_group: int,
    change: str,
) -> NormSize:
    """The norm of features whose resolution is the patch's over `divisor`, rounded down."""
    i, j, k = (n // divisor for n in patch_shape)
    return NormSize(
        norm=norm,
        where=where,
        voxels=(i, j, k),
        n_samples=batch_size if norm == "batch" else 1,
        n_features=features_in_group if norm == "group" else 1,
        change=change,
    )


def n_groups(n_features: int) -> int:
    """Groups of a group norm: the most of 4, 2 and 1 that divide the features."""
    return math.gcd(4, n_features)
