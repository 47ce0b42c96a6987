"""The regularization network: it predicts the site from the bottleneck."""

from __future__ import annotations

import torch
from torch import nn

from common.learning.networks.initialization import draw_gaussian


def build_site_head(*, n_features: int, n_sites: int, seed: int) -> SiteHead:
    """A site head with Gaussian weights drawn from `seed`; torch's random state is unchanged."""
    with torch.random.fork_rng(devices=[]):
        head = SiteHead(n_features=n_features, n_sites=n_sites)
    draw_gaussian(head, seed=seed)
    return head


class SiteHead(nn.Module):
    """One logit a training site.

    Source   Aslani et al. 2020: three perceptron layers and a softmax on the encoder's latent
             vector, dropped at test time.
    Chosen   the latent vector is the bottleneck's mean over space, where it has one; 256 and
             128 hidden features; the softmax is left to the losses, which need its logarithm. Of
             each feature `centre` is subtracted, and the rest is divided by `deviation`: 0 and 1,
             but where the coordinator knows the features of all sites (docs/adr/0038).
    """

    centre: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, *, n_features: int, n_sites: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, 256),
            nn.ReLU(),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Linear(128, n_sites),
        )
        self.register_buffer("centre", torch.zeros(n_features))
        self.register_buffer("deviation", torch.ones(n_features))

    def forward(self, bottleneck: torch.Tensor) -> torch.Tensor:
        """Logits (B, n_sites); softmax over the last axis gives probabilities.

        bottleneck   (B, F, ...)
        """
        features = (latent_vector(bottleneck) - self.centre) / self.deviation
        logits: torch.Tensor = self.layers(features)
        return logits


def latent_vector(bottleneck: torch.Tensor) -> torch.Tensor:
    """The bottleneck's mean over space, (B, F); itself where it has no space.

    bottleneck   (B, F, ...)
    """
    return bottleneck.flatten(2).mean(dim=2) if bottleneck.ndim > 2 else bottleneck
