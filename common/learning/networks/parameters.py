"""A module's parameters as plain arrays, out and in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from common.errors import ModelFileError


def parameters_of(module: nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Name -> C-ordered copy of everything the module keeps, in the module's order, dtypes kept."""
    return {
        name: np.array(tensor.detach().cpu().numpy(), order="C")
        for name, tensor in module.state_dict().items()
    }


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
