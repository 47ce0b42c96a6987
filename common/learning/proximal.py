"""The pull of parameters towards where a round began."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn


class ProximalPull:
    """Adds the gradient of mu / 2 ||theta - theta_round||^2 to what the losses leave in `.grad`.

    parameters   which are where the round began
    mu           0: nothing is added

    Source   Li et al. 2020, arXiv:1812.06127 (FedProx). The norm is squared.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], mu: float) -> None:
        self._parameters = list(parameters)
        self._mu = mu
        self._began = [p.detach().clone() for p in parameters] if mu else []

    def add(self, places: Iterable[int] | None = None) -> float:
        """The penalty before the step; its gradient is added.

        places   which of the parameters are pulled; None: all that have a gradient
        """
        if not self._mu:
            return 0.0
        if places is None:
            places = [i for i, p in enumerate(self._parameters) if p.grad is not None]
        square = 0.0
        with torch.no_grad():
            for i in places:
                parameter = self._parameters[i]
                moved = parameter - self._began[i]
                square += float(moved.double().square().sum())
                pull = self._mu * moved
                parameter.grad = pull if parameter.grad is None else parameter.grad + pull
        return self._mu / 2 * square
