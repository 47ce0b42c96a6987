"""The norm that follows a convolution."""

from __future__ import annotations

from torch import nn

from common.recipe.norm_size import Norm


def build_norm(norm: Norm, n_features: int, *, n_groups: int) -> nn.Module:
    """A norm with a scale and a shift for each of `n_features`.

    n_groups   of features, for group norm

    Source   Ioffe and Szegedy 2015, arXiv:1502.03167 (batch); Ulyanov et al. 2016,
             arXiv:1607.08022 (instance); Wu and He 2018, arXiv:1803.08494 (group).
    """
    if norm == "batch":
        return nn.BatchNorm3d(n_features)
    # one group a feature is instance norm, and quicker on a CPU than torch's InstanceNorm3d
    return nn.GroupNorm(n_features if norm == "instance" else n_groups, n_features)
