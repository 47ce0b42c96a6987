"""Alignment of a site's features with those of all sites, without a head."""

from __future__ import annotations

import torch

from common.learning.drawn_alike import DrawnAlike
from common.learning.losses.moment_alignment import gaussian_divergence, moments_with_memory
from common.learning.summarized_features import steady_variance
from common.wire.feature_summary import FeatureSummary

N_REMEMBERED = 64
"""Latent vectors of steps before that count beside the batch's, for each site (chosen)."""


class MomentTerm:
    """The divergence of the site's features from those of all sites together.

    alike      bottleneck and sites -> latent vectors that are comparable with `pooled`
    pooled     mean and variance over all sites
    memory     site index -> (M, F), the first latent vectors to remember, moved by `alike`

    Where a batch holds patches of several sites, each site's divergence counts by its patches.
    """

    def __init__(
        self, alike: DrawnAlike, pooled: FeatureSummary, memory: dict[int, torch.Tensor]
    ) -> None:
        self._alike = alike
        self._memory = dict(memory)
        steady = torch.from_numpy(steady_variance(pooled))
        variance = torch.tensor(pooled.variance, dtype=torch.float64)
        self._floor = (steady - variance).to(torch.float32)
        self._mean = torch.tensor(pooled.mean)
        self._variance = steady.to(torch.float32)

    def loss(self, bottleneck: torch.Tensor, sites: torch.Tensor) -> torch.Tensor:
        """As in `SiteTerm`; the memory then holds the batch too."""
        features = self._alike(bottleneck, sites)
        terms = [
            self._of_site(int(site), features[sites == site]) * float((sites == site).sum())
            for site in torch.unique(sites)
        ]
        return torch.stack(terms).sum() / len(sites)

    def _of_site(self, site: int, batch: torch.Tensor) -> torch.Tensor:
        memory = self._memory.get(site, batch.detach()[:0])
        mean, variance = moments_with_memory(batch, memory)
        self._memory[site] = torch.cat([memory, batch.detach()])[-N_REMEMBERED:]
        return gaussian_divergence(
            mean,
            variance + self._floor.to(batch),
            wanted_mean=self._mean.to(batch),
            wanted_variance=self._variance.to(batch),
        )
