"""A module's parameters as plain arrays, out and in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from common.errors import ModelFileError

MEAN, VARIANCE = ".running_mean", ".running_var"
"""How torch's batch norms end the names of the statistics that they use once trained."""


NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm)
"""Torch's batch and instance norms have one base, and group norm is another class."""


def parameters_of(module: nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Name -> C-ordered copy of everything the module keeps, in the module's order, dtypes kept."""
    return {
        name: np.array(tensor.detach().cpu().numpy(), order="C")
        for name, tensor in module.state_dict().items()
    }


def running_statistics(names: Iterable[str]) -> dict[str, str]:
    """Name of a batch norm's running mean -> name of its running variance, sorted by name.

    names   of a module's parameters as `parameters_of` gives them, with a prefix or without

    They are not learned but measured: whoever aggregates parameters of several sites treats them
    apart. The names are torch's, for every layer whose base is its batch norm.
    """
    known = set(names)
    pairs = {
        name: name.removesuffix(MEAN) + VARIANCE for name in sorted(known) if name.endswith(MEAN)
    }
    return {mean: variance for mean, variance in pairs.items() if variance in known}


def norm_names(module: nn.Module) -> tuple[str, ...]:
    """The names, in `parameters_of`, of what the module's normalization layers keep.

    Scale, shift, and batch norm's running statistics, of batch, group and instance norms.
    """
    return tuple(
        f"{layer}.{name}" if layer else name
        for layer, part in module.named_modules()
        if isinstance(part, NORMS)
        for name in part.state_dict()
    )


def not_finite(arrays: Mapping[str, npt.NDArray[Any]]) -> str | None:
    """The first array, by name, with a value that is not finite; None where all are."""
    return next((name for name in sorted(arrays) if not np.isfinite(arrays[name]).all()), None)


def impossible_norms(arrays: Mapping[str, npt.NDArray[Any]]) -> str | None:
    """The same, and a running variance below 0."""
    below = (n for n in sorted(arrays) if n.endswith(VARIANCE) and (arrays[n] < 0).any())
    return not_finite(arrays) or next(below, None)


def load_parameters(module: nn.Module, parameters: Mapping[str, npt.NDArray[Any]]) -> None:
    """Sets everything the module keeps to copies of `parameters`.

    ModelFileError lists every name that is missing or unknown and every other shape or dtype;
    the module is then as it was.
    """
    own = module.state_dict()
    faults = [f"{name}: missing" for name in own.keys() - parameters.keys()]
    faults += [f"{name}: unknown" for name in parameters.keys() - own.keys()]
    tensors = {name: torch.tensor(parameters[name]) for name in own.keys() & parameters.keys()}
    for name, tensor in tensors.items():
        want, found = _kind(own[name]), _kind(tensor)
        if want != found:
            faults.append(f"{name}: want {want}, got {found}")
    if faults:
        raise ModelFileError(
            f"parameters do not fit {type(module).__name__}: {'; '.join(sorted(faults))}. "
            "Were they made with another recipe or another number of sites?"
        )
    module.load_state_dict(tensors)


def _kind(tensor: torch.Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
