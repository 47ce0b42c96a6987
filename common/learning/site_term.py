"""What the site loss adds to a training step."""

from __future__ import annotations

import torch
from torch import nn

from common.learning.losses.site_loss import site_loss
from common.recipe.loss import SiteLoss
from common.seeds import derived_seed


class SiteTerm:
    """The recipe's site loss on the head's answer.

    head       bottleneck -> site logits
    settings   of a loss other than `none`
    seed       of this site and round: the labels of `random` are drawn from it
    """

    def __init__(self, head: nn.Module, settings: SiteLoss, *, seed: int) -> None:
        self._head = head
        self._settings = settings
        self._generator = torch.Generator().manual_seed(derived_seed(seed, "site-labels"))

    def loss(self, bottleneck: torch.Tensor, sites: torch.Tensor) -> torch.Tensor:
        """A scalar, before its weight lambda.

        bottleneck   (B, F, ...)
        sites        (B,), the index of each patch's site
        """
        name = self._settings.name
        assert name != "none", "a head comes with a site loss"
        return site_loss(self._head(bottleneck), name=name, sites=sites, generator=self._generator)
