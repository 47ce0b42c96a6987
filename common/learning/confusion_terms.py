"""Confusion of a head that was trained to tell the sites apart: its encoder makes it unsure."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import nn

from common.learning.drawn_alike import DrawnAlike
from common.learning.losses.site_loss import confusion
from common.seeds import derived_seed
from common.wire.feature_summary import FeatureSummary, KnownFeatures

LABEL_SMOOTHING = 0.1
"""Of a head that learns the sites (chosen).

Sites whose features lie apart can be told without an error, and cross-entropy then makes the logits
larger in every round, and with them the confusion's gradient; a smoothed label has an optimum."""


class ConfusionTerm:
    """The encoder against a frozen head, which the coordinator has trained.

    head    latent vectors -> site logits; its parameters get no gradient
    alike   bottleneck and sites -> latent vectors as the head has learned them
    known   the sites that the head tells apart

    Source  Tzeng et al. 2015, arXiv:1510.02192 (confusion). The head at the coordinator, trained on
            the sites' summaries, is chosen (docs/adr/0038).
    """

    def __init__(self, head: nn.Module, alike: DrawnAlike, known: KnownFeatures) -> None:
        self._head = head
        self._alike = alike
        self._known = torch.tensor(known.sites)

    def loss(self, bottleneck: torch.Tensor, sites: torch.Tensor) -> torch.Tensor:
        """As in `SiteTerm`."""
        logits = self._head(self._alike(bottleneck, sites))
        return confusion(logits, self._known.to(logits.device))


class HarmonyTerm:
    """Head and encoder in turn: the head learns the sites, then the encoder makes it unsure.

    head        trained in place by `optimizer`, and by nothing else
    alike       as in `ConfusionTerm`
    known       with the other sites' summaries: as many samples are drawn of each as the batch has
    own         indices of the sites whose patches train here
    seed        of this site and round: the samples are drawn from it

    Source   Dinsdale et al. 2022 (FedHarmony), arXiv:2205.15970: the head learns from the site's
             own features and from Gaussians with the mean and variance of the others'. One step of
             the head before each of the encoder, and smoothed labels, are chosen.
    """

    def __init__(
        self,
        head: nn.Module,
        alike: DrawnAlike,
        known: KnownFeatures,
        *,
        own: Collection[int],
        optimizer: torch.optim.Optimizer,
        seed: int,
    ) -> None:
        self._head = head
        self._alike = alike
        self._optimizer = optimizer
        self._others = [(i, known.others[i]) for i in sorted(known.others) if i not in own]
        self._own_and_known = torch.tensor(sorted({*known.sites, *own}))
        self._generator = torch.Generator().manual_seed(derived_seed(seed, "features-of-others"))

    def loss(self, bottleneck: torch.Tensor, sites: torch.Tensor) -> torch.Tensor:
        """As in `SiteTerm`, after one step of the head."""
        features = self._alike(bottleneck, sites)
        self._train_head(features.detach(), sites)
        return confusion(self._head(features), self._own_and_known.to(features.device))

    def _train_head(self, own: torch.Tensor, sites: torch.Tensor) -> None:
        n = len(own)
        drawn = [gaussian_sample(of, n, self._generator).to(own) for _, of in self._others]
        labels = [torch.full_like(sites, index) for index, _ in self._others]
        logits = self._head(torch.cat([own, *drawn]))
        loss = nn.functional.cross_entropy(
            logits, torch.cat([sites, *labels]), label_smoothing=LABEL_SMOOTHING
        )
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        self._optimizer.step()


def gaussian_sample(summary: FeatureSummary, n: int, generator: torch.Generator) -> torch.Tensor:
    """So many latent vectors (n, F) with the summary's mean and variance, features independent."""
    mean = torch.tensor(summary.mean)
    deviation = torch.from_numpy(np.sqrt(summary.variance)).to(mean)
    return mean + deviation * torch.randn(n, len(mean), generator=generator)
