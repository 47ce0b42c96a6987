"""The network of a recipe and, while training, the site head beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from common.learning.networks.site_head import build_site_head
from common.learning.networks.unet import build_network
from common.learning.parameters import parameters_of
from common.recipe import Recipe
from common.seeds import derived_seed

NETWORK = "network."
HEAD = "head."
"""Prefixes in a run's parameters: one set travels, two modules read it."""

Parameters = Mapping[str, npt.NDArray[Any]]


def available_device(recipe: Recipe) -> Literal["cpu", "cuda"]:
    """The recipe's device where this machine has it, else the CPU: enough to use a model."""
    return "cuda" if recipe.compute.device == "cuda" and torch.cuda.is_available() else "cpu"


def has_site_head(recipe: Recipe, n_sites: int) -> bool:
    """Whether training uses the site head: not without its loss, and not with a single site."""
    return recipe.loss.site.name != "none" and n_sites > 1


def new_network(recipe: Recipe) -> nn.Module:
    """The recipe's segmentation network as first drawn."""
    n_channels = len(recipe.task.modalities)
    seed = derived_seed(recipe.seed, "network")
    return build_network(recipe.network, n_channels=n_channels, seed=seed)


def new_site_head(recipe: Recipe, n_sites: int) -> nn.Module | None:
    """The site head as first drawn, or None where training has none."""
    if not has_site_head(recipe, n_sites):
        return None
    seed = derived_seed(recipe.seed, "site-head")
    return build_site_head(n_features=recipe.network.widths[-1], n_sites=n_sites, seed=seed)


def initial_parameters(recipe: Recipe, *, n_sites: int) -> dict[str, npt.NDArray[Any]]:
    """What every site starts from: the network's and the head's parameters, prefixed."""
    return join(new_network(recipe), new_site_head(recipe, n_sites))


def join(network: nn.Module, head: nn.Module | None) -> dict[str, npt.NDArray[Any]]:
    """Both modules' parameters under their prefixes, copied."""
    joined = {NETWORK + name: array for name, array in parameters_of(network).items()}
    if head is not None:
        joined |= {HEAD + name: array for name, array in parameters_of(head).items()}
    return joined


def part(parameters: Parameters, prefix: str) -> dict[str, npt.NDArray[Any]]:
    """The parameters under one prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in parameters.items()
        if name.startswith(prefix)
    }


def differences(after: Parameters, before: Parameters) -> dict[str, npt.NDArray[np.generic]]:
    """after minus before, array by array, dtypes kept."""
    return {name: after[name] - before[name] for name in before}
