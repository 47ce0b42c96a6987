"""What the site loss adds to a training step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import nn

from common.learning.confusion_terms import ConfusionTerm, HarmonyTerm
from common.learning.drawn_alike import DrawnAlike
from common.learning.losses.site_loss import SiteLossName, site_loss
from common.learning.moment_term import N_REMEMBERED, MomentTerm
from common.learning.networks.site_head import latent_vector
from common.learning.sampling.registry import Sampler
from common.recipe.recipe import Recipe
from common.seeds import derived_seed
from common.wire.feature_summary import FeatureSummary, KnownFeatures

HeadOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class SiteTerm(Protocol):
    """The recipe's site loss, through one round at one site."""

    def loss(self, bottleneck: torch.Tensor, sites: torch.Tensor) -> torch.Tensor:
        """A scalar, before its weight lambda.

        bottleneck   (B, F, ...)
        sites        (B,), the index of each patch's site
        """
        ...


class PublishedTerm:
    """A loss of Aslani 2020: head and encoder minimize it together.

    seed   of this site and round: the labels of `random` are drawn from it
    """

    def __init__(self, head: nn.Module, name: SiteLossName, *, seed: int) -> None:
        self._head = head
        self._name: SiteLossName = name
        self._generator = torch.Generator().manual_seed(derived_seed(seed, "site-labels"))

    def loss(self, bottleneck: torch.Tensor, sites: torch.Tensor) -> torch.Tensor:
        """As in `SiteTerm`."""
        logits = self._head(bottleneck)
        return site_loss(logits, name=self._name, sites=sites, generator=self._generator)


def build_site_term(
    network: nn.Module,
    head: nn.Module | None,
    sampler: Sampler,
    *,
    recipe: Recipe,
    site_of_case: torch.Tensor,
    known: KnownFeatures | None,
    summaries: Mapping[int, FeatureSummary],
    head_optimizer: HeadOptimizer,
    seed: int,
) -> SiteTerm | None:
    """The recipe's site loss for this round; None where it is off.

    network         that the round begins with
    head            None without a site loss that looks at one, and with a single site
    site_of_case    of each of the sampler's cases, its site's index
    known           of the other sites; None turns off a loss that needs it
    summaries       index -> of patches drawn alike at each site whose patches train here
    head_optimizer  of a head that is trained apart from the network
    """
    settings = recipe.loss.site
    if settings.name in ("pearson", "random", "uniform"):
        return None if head is None else PublishedTerm(head, settings.name, seed=seed)
    if settings.name == "none" or known is None or not summaries:
        return None
    features, sites = _training_features(network, sampler, recipe, site_of_case, seed)
    alike = DrawnAlike(features, sites, summaries)
    if settings.name == "moment_align":
        assert known.pooled is not None, "the phase sends it with this loss"
        moved = alike(features, sites)
        memory = {index: moved[sites == index][-N_REMEMBERED:] for index in summaries}
        return MomentTerm(alike, known.pooled, memory)
    assert head is not None, "it comes with two sites, and fewer are not known"
    if settings.name == "fed_confusion":
        return ConfusionTerm(head, alike, known)
    optimizer = head_optimizer(head.parameters())
    return HarmonyTerm(head, alike, known, own=summaries, optimizer=optimizer, seed=seed)


def _training_features(
    network: nn.Module, sampler: Sampler, recipe: Recipe, site_of_case: torch.Tensor, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latent vectors of half of N_REMEMBERED training patches a site, and each one's site."""
    random = np.random.default_rng(derived_seed(seed, "features-of-training"))
    batch_size = recipe.sampling.batch_size
    n_patches = N_REMEMBERED // 2 * len(torch.unique(site_of_case))
    was_training = network.training
    network.eval()
    features, sites = [], []
    with torch.no_grad():
        for _ in range(-(-n_patches // batch_size)):
            images, _references, cases = sampler.draw_batch(batch_size, random)
            of_batch = torch.from_numpy(images).to(site_of_case.device)
            features.append(latent_vector(network(of_batch)[1]))
            sites.append(site_of_case[torch.from_numpy(cases).to(site_of_case.device)])
    network.train(was_training)
    return torch.cat(features), torch.cat(sites)
