"""The network of a recipe and, while training, the site head beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from common.learning.networks.cascade import Cascade
from common.learning.networks.parameters import parameters_of
from common.learning.networks.registry import build_network
from common.learning.networks.site_head import build_site_head
from common.recipe.recipe import Recipe
from common.seeds import derived_seed
from common.wire.field_types import Stage

NETWORK = "network."
HEAD = "head."
"""Prefixes in a run's parameters: one set of arrays is sent for both modules."""

Parameters = Mapping[str, npt.NDArray[Any]]


def available_device(recipe: Recipe) -> Literal["cpu", "cuda"]:
    """The recipe's device where this machine has it, else the CPU: enough to use a model."""
    return "cuda" if recipe.compute.device == "cuda" and torch.cuda.is_available() else "cpu"


def has_site_loss(recipe: Recipe, n_sites: int) -> bool:
    """Whether training has a site loss: a single site has nothing to be told apart from."""
    return recipe.loss.site.name != "none" and n_sites > 1


def has_site_head(recipe: Recipe, n_sites: int) -> bool:
    """Whether training uses the site head: not without its loss, and not with a single site."""
    return has_site_loss(recipe, n_sites) and recipe.loss.site.has_head


def trained_at_sites(parameters: Parameters, recipe: Recipe) -> dict[str, npt.NDArray[Any]]:
    """Those of a run's parameters that sites train and send; not a head that stays frozen there."""
    prefixes = (NETWORK, HEAD) if recipe.loss.site.trains_head_at_sites else (NETWORK,)
    return {name: array for name, array in parameters.items() if name.startswith(prefixes)}


def new_network(recipe: Recipe) -> nn.Module:
    """The recipe's segmentation network with its starting values; a cascade runs both its parts."""
    network = build_network(
        recipe.network,
        n_channels=len(recipe.task.channels),
        n_outputs=recipe.task.n_outputs,
        seed=derived_seed(recipe.seed, "network"),
    )
    set_stage(network, "second")
    return network


def set_stage(network: nn.Module, stage: Stage) -> None:
    """Sets which network of a cascade predicts and trains: the first, or the second after it."""
    if isinstance(network, Cascade) and stage != "whole":
        network.stage = stage


def new_site_head(recipe: Recipe, network: nn.Module, n_sites: int) -> nn.Module | None:
    """The site head with its starting values, or None where training has none."""
    if not has_site_head(recipe, n_sites):
        return None
    seed = derived_seed(recipe.seed, "site-head")
    return build_site_head(n_features=width_of(network), n_sites=n_sites, seed=seed)


def width_of(network: nn.Module) -> int:
    """How many latent features the network has."""
    n_features = network.n_bottleneck
    assert isinstance(n_features, int), "every network says how wide its bottleneck is"
    return n_features


def initial_parameters(recipe: Recipe, *, n_sites: int) -> dict[str, npt.NDArray[Any]]:
    """The parameters that every site starts from: network and head, under their prefixes."""
    network = new_network(recipe)
    return join(network, new_site_head(recipe, network, n_sites))


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
    return {name: np.asarray(after[name] - before[name]) for name in before}
