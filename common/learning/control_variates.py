"""SCAFFOLD's control variates: how a site's gradients differ from those of all sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from common.errors import WireError
from common.learning.model import new_network, new_site_head
from common.learning.optimizer_state import trained_parameters
from common.recipe.recipe import Recipe

Variates = Mapping[str, npt.NDArray[Any]]
"""A parameter's name in a run -> mean gradient, float32, of its shape."""


def fresh_variates(recipe: Recipe, *, n_sites: int) -> dict[str, npt.NDArray[np.float32]]:
    """Those before the first round: zeros."""
    network = new_network(recipe)
    apart = recipe.loss.site.needs_summaries  # such a head has an optimizer of its own
    head = None if apart else new_site_head(recipe, network, n_sites)
    return {
        name: np.zeros(parameter.shape, np.float32)
        for name, parameter in trained_parameters(network, head).items()
    }


class Correction:
    """c - c_i, which is added to the gradients of every step at site i.

    parameters   by name
    all_sites    c, the mean over the sites
    own          c_i, the site's

    WireError where a name or a shape is not that of the parameters.
    Source   Karimireddy et al. 2020, arXiv:1910.06378, algorithm 1: y <- y - eta (g + c - c_i).
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], all_sites: Variates, own: Variates
    ) -> None:
        require_fitting(all_sites, {name: tuple(p.shape) for name, p in parameters.items()})
        require_fitting(own, {name: tuple(p.shape) for name, p in parameters.items()})
        self._added: Sequence[tuple[nn.Parameter, torch.Tensor]] = [
            (parameter, torch.tensor(all_sites[name] - own[name], device=parameter.device))
            for name, parameter in parameters.items()
        ]

    def add(self) -> None:
        """Corrects the gradients that are there; a part that does not train has none."""
        for parameter, added in self._added:
            if parameter.grad is not None:
                parameter.grad = parameter.grad + added


def require_fitting(variates: Variates, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Nothing; WireError where the variates are not those of parameters with these shapes."""
    if odd := sorted(shapes.keys() ^ variates.keys()):
        raise WireError(f"control variates: these are missing or unknown: {odd[:5]}")
    for name, array in variates.items():
        if array.shape != shapes[name] or array.dtype != np.float32:
            raise WireError(
                f"control variates: want {name} as float32 {shapes[name]}, got {array.dtype} "
                f"{array.shape}"
            )
        if not np.isfinite(array).all():
            raise WireError(f"control variates: {name} is not finite")


def variates_after(
    own: Variates,
    all_sites: Variates,
    *,
    change: Variates,
    n_steps: int,
    learning_rate: float,
) -> dict[str, npt.NDArray[np.float32]]:
    """c_i - c + (x - y) / (K eta): the site's mean gradient in the round, as it was corrected back.

    change          y - x by name; more names than the variates have are not looked at
    n_steps         K, the steps that the site took
    learning_rate   eta, of SGD without momentum
    Source          Karimireddy 2020, algorithm 1, option II.
    """
    return {
        name: np.asarray(
            variate - all_sites[name] - change[name] / (n_steps * learning_rate), np.float32
        )
        for name, variate in own.items()
    }
