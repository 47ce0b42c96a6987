"""The site loss's gradient beside that of the other losses: measured, bounded, added."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from common.learning.proximal import ProximalPull


class Added(NamedTuple):
    """What a step added to the gradients.

    ratio     length of the site loss's gradient over that of the other losses, both on the encoder
              and before the bound; None where the others have none there
    penalty   mu / 2 ||theta - theta_round||^2 of the encoder, before the step
    """

    ratio: float | None
    penalty: float


class SiteGradient:
    """Adds the site loss's gradient to what the other losses have left in `.grad`.

    The encoder is what both reach: the network's parameters that the site loss has a gradient for.

    network    whose parameters are where the round began
    head       that the site loss trains together with the network; None: it trains none. Its own
               gradient is not bounded
    bound      most that the ratio may be; None: it stays as it is
    proximal   mu of the pull towards where the round began

    Source     Li et al. 2020, arXiv:1812.06127 (the pull). The bound is ours.
    """

    def __init__(
        self,
        network: nn.Module,
        head: nn.Module | None,
        *,
        bound: float | None,
        proximal: float,
    ) -> None:
        self._network = list(network.parameters())
        self._head = [] if head is None else list(head.parameters())
        self._bound = bound
        self._pull = ProximalPull(self._network, proximal)

    def add(self, weighted_loss: torch.Tensor) -> Added:
        """Adds the gradients of lambda L_reg and of the pull; its graph must still be there."""
        gradients = torch.autograd.grad(
            weighted_loss, [*self._network, *self._head], allow_unused=True
        )
        of_network = gradients[: len(self._network)]
        encoder = [i for i, gradient in enumerate(of_network) if gradient is not None]
        length = _length([of_network[i] for i in encoder])
        others = _length([self._network[i].grad for i in encoder])
        factor = 1.0
        if self._bound is not None and length > self._bound * others:
            factor = self._bound * others / length
        for i in encoder:
            _add(self._network[i], of_network[i], factor)
        for parameter, gradient in zip(self._head, gradients[len(self._network) :], strict=True):
            _add(parameter, gradient, 1.0)
        return Added(length / others if others else None, self._pull.add(encoder))


def _length(gradients: list[torch.Tensor | None]) -> float:
    """Euclidean length over all of them, in float64."""
    squares = [g.detach().double().square().sum() for g in gradients if g is not None]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0


def _add(parameter: nn.Parameter, gradient: torch.Tensor | None, factor: float) -> None:
    if gradient is None:
        return
    scaled = factor * gradient
    parameter.grad = scaled if parameter.grad is None else parameter.grad + scaled
