"""What the sites' feature summaries of one round become in the next."""

from __future__ import annotations

from collections.abc import Mapping, Set

import numpy as np
import torch
from torch import nn

from common.errors import UpdateRejected
from common.learning.confusion_terms import LABEL_SMOOTHING, gaussian_sample
from common.learning.model import HEAD, part
from common.learning.networks.parameters import load_parameters, parameters_of
from common.learning.networks.site_head import build_site_head
from common.learning.summarized_features import pooled_summary, steady_variance
from common.recipe.loss import SiteLoss
from common.wire.feature_summary import FeatureSummary, KnownFeatures
from common.wire.field_types import Arrays

HEAD_STEPS = 200
SAMPLES_A_SITE = 64
HEAD_LEARNING_RATE = 1e-3
"""Of the head's training at the coordinator, after each round (chosen)."""

Features = Mapping[int, FeatureSummary]
"""Site index -> the last summary that the site has sent."""


def known_features(
    features: Features, settings: SiteLoss, *, site_index: int
) -> KnownFeatures | None:
    """What a site is told of the others; None while fewer than two sites have sent a summary."""
    if len(features) < 2:
        return None
    of_each = settings.name == "fedharmony"
    return KnownFeatures(
        sites=tuple(sorted(features)),
        pooled=_pooled(features) if settings.name == "moment_align" else None,
        others={i: features[i] for i in sorted(features) if i != site_index} if of_each else {},
    )


def require_summaries(site: str, sent: Features, *, allowed: Set[int], n_features: int) -> None:
    """Nothing, or UpdateRejected where a site's summaries are not of its own, or do not fit.

    allowed      indices that this site may summarize
    n_features   of the network
    """
    if odd := sorted(sent.keys() - allowed):
        raise UpdateRejected(
            f"site {site}: its features are said to be of sites {odd}; want {sorted(allowed)}"
        )
    for summary in sent.values():
        lengths = (len(summary.mean), len(summary.variance))
        if lengths != (n_features, n_features):
            raise UpdateRejected(
                f"site {site}: its summary has {lengths[0]} means and {lengths[1]} variances, want "
                f"{n_features} of each"
            )


def head_after(
    parameters: Arrays, features: Features, settings: SiteLoss, *, n_sites: int, seed: int
) -> Arrays:
    """The site head's arrays for the next round; none where nothing about the head changes.

    parameters   of the run, `network.*` and `head.*`
    seed         of this round: the samples are drawn from it

    Its centre and deviation become those of all sites' features. For `fed_confusion` it then learns
    to tell the sites apart, from where it stood, on as many Gaussian samples of each site.
    """
    if not (settings.has_head and settings.needs_summaries) or len(features) < 2:
        return {}
    stood = part(parameters, HEAD)
    pooled = _pooled(features)
    stood["centre"] = np.array(pooled.mean, np.float32)
    stood["deviation"] = np.sqrt(steady_variance(pooled)).astype(np.float32)
    head = build_site_head(n_features=len(pooled.mean), n_sites=n_sites, seed=0)
    load_parameters(head, stood)
    if settings.name == "fed_confusion":
        _learn_sites(head, features, seed)
    return {HEAD + name: array for name, array in parameters_of(head).items()}


def _learn_sites(head: nn.Module, features: Features, seed: int) -> None:
    """Smoothed cross-entropy, Adam, fresh samples in each step; none without a summary."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(head.parameters(), lr=HEAD_LEARNING_RATE)
    indices = sorted(features)
    labels = torch.tensor(indices).repeat_interleave(SAMPLES_A_SITE)
    for _ in range(HEAD_STEPS):
        drawn = [gaussian_sample(features[i], SAMPLES_A_SITE, generator) for i in indices]
        logits = head(torch.cat(drawn))
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.step()


def _pooled(features: Features) -> FeatureSummary:
    return pooled_summary([features[i] for i in sorted(features)])
