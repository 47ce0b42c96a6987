"""What messages say of a network's latent features and of the site head's answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from common.wire.field_types import (
    CHECKED,
    MOST_FEATURES,
    MOST_SITES,
    Count,
    Feature,
    Score,
    Variance,
)


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class FeatureSummary:
    """Mean and variance (population) of each latent feature over patches of one site's images.

    Every case gives as many patches, which lie anywhere in the brain: the summary tells how the
    scanner's images look to the network, and not how many lesions there are.
    """

    mean: Annotated[tuple[Feature, ...], Field(min_length=1, max_length=MOST_FEATURES)]
    variance: Annotated[tuple[Variance, ...], Field(min_length=1, max_length=MOST_FEATURES)]


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class KnownFeatures:
    """What the sites' summaries of the rounds before give to a site loss that needs them.

    sites    indices of the sites that have sent one, rising; two at least
    pooled   of all of them together, each site counting alike; None where the loss needs it not
    others   index -> summary, without the site's own; empty where the loss needs them not
    """

    sites: Annotated[tuple[Count, ...], Field(min_length=2, max_length=MOST_SITES)]
    pooled: FeatureSummary | None = None
    others: dict[Count, FeatureSummary] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class HeadAnswers:
    """Probabilities that a site head gives to each site, over patches drawn alike at every site.

    mean, mean_square   one number a site of the federation: what the spread over the patches of all
                        sites together is made from
    """

    n_patches: Annotated[int, Field(ge=1, le=10**9)]
    mean: Annotated[tuple[Score, ...], Field(min_length=1, max_length=MOST_SITES)]
    mean_square: Annotated[tuple[Score, ...], Field(min_length=1, max_length=MOST_SITES)]
