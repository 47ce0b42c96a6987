"""What an optimizer remembers between steps, as named arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from common.errors import WireError
from common.learning.model import HEAD, NETWORK, new_network, new_site_head
from common.recipe.recipe import Recipe

STEP = "step"
SLOTS: Mapping[str, tuple[str, ...]] = {
    "adam": ("exp_avg", "exp_avg_sq"),
    "adadelta": ("square_avg", "acc_delta"),
    "sgd": (),
}
"""Optimizer -> what it keeps of each parameter, as torch names it, beside its number of steps."""

SIGNED = "exp_avg"
"""The only kind that may be below 0: a mean of gradients; the others are means of squares."""

State = Mapping[str, npt.NDArray[Any]]
"""`SLOT.PARAMETER` -> array of the parameter's shape, and `step.PARAMETER` -> (); float32."""


def trained_parameters(network: nn.Module, head: nn.Module | None) -> dict[str, nn.Parameter]:
    """Name -> parameter, as the names are in a run's parameters; buffers are not among them."""
    named = {NETWORK + name: parameter for name, parameter in network.named_parameters()}
    if head is not None:
        named |= {HEAD + name: parameter for name, parameter in head.named_parameters()}
    return named


def fresh_state(recipe: Recipe, *, n_sites: int) -> dict[str, npt.NDArray[np.float32]]:
    """The state before the first step: zeros."""
    network = new_network(recipe)
    apart = recipe.loss.site.needs_summaries  # such a head has an optimizer of its own
    head = None if apart else new_site_head(recipe, network, n_sites)
    slots, found = SLOTS[recipe.optimizer.name], {}
    for name, parameter in trained_parameters(network, head).items():
        found[f"{STEP}.{name}"] = np.zeros((), np.float32)
        found |= {f"{slot}.{name}": np.zeros(parameter.shape, np.float32) for slot in slots}
    return found


def state_of(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], slots: Sequence[str]
) -> dict[str, npt.NDArray[np.float32]]:
    """The optimizer's state, copied; zeros for a parameter that it has not moved yet."""
    found = {}
    for name, parameter in parameters.items():
        of_parameter = optimizer.state.get(parameter, {})
        for slot in (STEP, *slots):
            zeros = torch.zeros(() if slot == STEP else parameter.shape)
            value = of_parameter.get(slot, zeros).detach().to("cpu", torch.float32)
            found[f"{slot}.{name}"] = value.numpy().copy()
    return found


def load_state(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    slots: Sequence[str],
    state: State,
) -> None:
    """Gives the optimizer this state; a parameter whose number of steps is 0 begins anew.

    WireError where names or shapes are not those of the parameters, or a value cannot be.
    """
    names = {f"{slot}.{name}" for name in parameters for slot in (STEP, *slots)}
    if odd := sorted(names ^ state.keys()):
        raise WireError(f"optimizer state: these arrays are missing or unknown: {odd[:5]}")
    for name, parameter in parameters.items():
        for slot in (STEP, *slots):
            array, shape = state[f"{slot}.{name}"], () if slot == STEP else tuple(parameter.shape)
            if array.shape != shape or array.dtype != np.float32:
                raise WireError(
                    f"optimizer state: want {slot}.{name} as float32 {shape}, got {array.dtype} "
                    f"{array.shape}"
                )
    if impossible := impossible_values(state):
        raise WireError(f"optimizer state: {impossible} is not finite, or below 0")
    for name, parameter in parameters.items():
        if state[f"{STEP}.{name}"] > 0:
            of_parameter: dict[str, torch.Tensor] = {
                slot: torch.tensor(state[f"{slot}.{name}"], device=parameter.device)
                for slot in slots
            }
            step = torch.tensor(float(state[f"{STEP}.{name}"]), dtype=torch.float32)
            optimizer.state[parameter] = {STEP: step} | of_parameter


def impossible_values(state: State) -> str | None:
    """The first array with a value that is not finite, or below 0 where it must not be; or None."""
    for name in sorted(state):
        signed = name.partition(".")[0] == SIGNED
        if not np.isfinite(state[name]).all() or (not signed and (state[name] < 0).any()):
            return name
    return None
