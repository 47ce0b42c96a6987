"""Features of training patches, as if they had been drawn in the same way at every site."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from common.learning.networks.site_head import latent_vector
from common.learning.summarized_features import steady_variance, summary_of
from common.wire.feature_summary import FeatureSummary

MOST_STRETCH = 10.0
"""No feature is stretched or shrunk by more than this."""


class DrawnAlike:
    """Latent vectors of training patches with the mean and deviation of patches drawn alike.

    features   (n, F), of training patches, by the network that the round begins with
    sites      (n,), the index of each patch's site
    summaries  index -> of patches drawn alike at that site, by the same network

    Training patches are drawn around lesions, and how many lesions a site has tells it apart. What
    is compared between sites are summaries of patches that lie anywhere in the brain. So each
    feature of a training patch is moved, by one linear map for each site, from the mean and the
    deviation that it has over training patches to those that it has over patches drawn alike.
    A site with fewer than two training patches here keeps its features as they are. Chosen.
    """

    def __init__(
        self,
        features: torch.Tensor,
        sites: torch.Tensor,
        summaries: Mapping[int, FeatureSummary],
    ) -> None:
        rows, places = features.cpu().numpy(), sites.cpu().numpy()
        shape = (1 + int(places.max(initial=max(summaries))), rows.shape[1])
        start, end, stretch = np.zeros(shape), np.zeros(shape), np.ones(shape)
        for site, alike in summaries.items():
            own = rows[places == site]
            training = summary_of(own) if len(own) > 1 else None
            if training is None:
                continue
            ratio = np.sqrt(steady_variance(alike) / steady_variance(training))
            start[site], end[site] = training.mean, alike.mean
            stretch[site] = np.clip(ratio, 1 / MOST_STRETCH, MOST_STRETCH)
        self._start, self._end, self._stretch = (
            torch.from_numpy(array).to(features) for array in (start, end, stretch)
        )

    def __call__(self, bottleneck: torch.Tensor, sites: torch.Tensor) -> torch.Tensor:
        """Latent vectors (B, F) of a bottleneck (B, F, ...), moved; sites (B,)."""
        features = latent_vector(bottleneck)
        return (features - self._start[sites]) * self._stretch[sites] + self._end[sites]
