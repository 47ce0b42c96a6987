"""What the received network makes of the site's images, and what of that may leave."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from client.phases.site_cases import sites_of
from client.site.settings import Site
from common.arrays import Float32Array
from common.files import write_whole
from common.imaging.dataset.prepared import PreparedCase
from common.learning.latent_features import latent_features
from common.learning.summarized_features import summary_of
from common.recipe.recipe import Recipe
from common.seeds import derived_seed
from common.wire.feature_summary import FeatureSummary, HeadAnswers
from common.wire.field_types import MOST_FEATURE, MOST_VARIANCE
from common.wire.messages import Assignment

log = logging.getLogger(__name__)

PATCHES_A_CASE = 4
"""As many of each case: a case counts as much as any other (chosen)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteFeatures:
    """Patches drawn alike at every site, as the received network sees them.

    summaries   index of each site whose cases are here -> its features; they stay here
    shared      of them, with the policy's noise, those that may leave
    answers     of the received head; None without one, and where they may not leave
    """

    summaries: Mapping[int, FeatureSummary]
    shared: dict[int, FeatureSummary]
    answers: HeadAnswers | None


NO_FEATURES = SiteFeatures(summaries={}, shared={}, answers=None)
"""Of a recipe whose site loss is off."""


def site_features(
    network: nn.Module,
    head: nn.Module | None,
    cases: Sequence[PreparedCase],
    *,
    recipe: Recipe,
    site: Site,
    assignment: Assignment,
) -> SiteFeatures:
    """Summaries of the cases' latent features, site index by site index, and the head's answers.

    network, head   with the received parameters
    cases           that train

    Sums over fewer subjects than the site's policy allows do not leave.
    """
    seed = derived_seed(recipe.seed, "site-features", site.name, assignment.round_index)
    latent = latent_features(network, cases, recipe, per_case=PATCHES_A_CASE, seed=seed)
    indices = np.array(sites_of(cases, assignment, site))
    summaries, shared = {}, {}
    for index in sorted(set(indices.tolist())):
        summary = summary_of(np.concatenate(latent[indices == index]))
        if summary is None:
            continue
        summaries[index] = summary
        subjects = {case.subject for case, i in zip(cases, indices, strict=True) if i == index}
        if site.policy.allows(len(subjects)):
            shared[index] = _with_noise(summary, site, assignment, index)
        else:
            log.info("no summary of the features leaves: %d subjects", len(subjects))
    answers = None
    if head is not None and site.policy.allows(len({case.subject for case in cases})):
        answers = _answers(head, np.concatenate(latent))
    return SiteFeatures(summaries=summaries, shared=shared, answers=answers)


def _answers(head: nn.Module, features: Float32Array) -> HeadAnswers | None:
    """Mean and mean square of the head's probabilities; None where they are not finite."""
    with torch.inference_mode():
        logits = head.cpu()(torch.from_numpy(features)).double()
    probabilities = torch.softmax(logits, dim=1)
    if not bool(probabilities.isfinite().all()):
        return None
    return HeadAnswers(
        n_patches=len(features),
        mean=tuple(probabilities.mean(dim=0).clamp(0, 1).tolist()),
        mean_square=tuple(probabilities.square().mean(dim=0).clamp(0, 1).tolist()),
    )


def _with_noise(
    summary: FeatureSummary, site: Site, assignment: Assignment, index: int
) -> FeatureSummary:
    """The summary with Gaussian noise on each mean and each deviation, by the site's policy.

    The noise is drawn from a number that the site alone knows: with the recipe's seed the
    coordinator could draw the same noise, and take it off.
    """
    share = site.policy.feature_noise
    if share == 0:
        return summary
    place = (assignment.run, assignment.phase, assignment.round_index, index)
    random = np.random.default_rng(derived_seed(_secret(site), "feature-noise", *place))
    mean, deviation = np.array(summary.mean), np.sqrt(summary.variance)
    on_mean, on_deviation = random.standard_normal((2, len(mean)))
    noisy_mean = mean + share * deviation * on_mean
    noisy_variance = np.square(deviation * (1 + share * on_deviation))
    return FeatureSummary(
        mean=tuple(np.clip(noisy_mean, -MOST_FEATURE, MOST_FEATURE).tolist()),
        variance=tuple(np.minimum(noisy_variance, MOST_VARIANCE).tolist()),
    )


def _secret(site: Site) -> int:
    """The site's own number, drawn once and kept in its work folder: it never leaves."""
    file = site.work / "feature-noise.secret"
    if not file.exists():
        write_whole(file, secrets.token_hex(32).encode(), mode=0o600)
    return int(file.read_text(encoding="utf-8"), 16)
