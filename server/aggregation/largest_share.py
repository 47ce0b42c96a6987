"""How much of a round's mean one site may be."""

from __future__ import annotations

import math
from collections.abc import Mapping

FEW_SITES = 3
"""With so many sites or fewer no site's share is bounded where the recipe names no share: one of
two or three hospitals may well have most of the cases, and a bound would leave no mean of them."""
DEFAULT_SHARE = 0.5
"""Of one site among more than that, where the recipe names none: the others together weigh as much
as it does."""
ROUNDING = 1e-9


def capped_weights(weights: Mapping[str, float], largest_share: float | None) -> dict[str, float]:
    """The weights, those lowered that are more than their share of the sum of all that result.

    weights         site -> how much it counts; of the sites that answered in the round
    largest_share   as in the recipe, `federation.largest_share`; never below an equal share, 1 / n

    Weights that need no bound come back as they are, to the last bit.
    Source   Portnoy et al. 2020, arXiv:2004.04986 (truncated weights, since sizes of data sets are
             only what clients say). Chosen: for one site, and the two shares above.
    """
    n = len(weights)
    share = _share_of(n, largest_share)
    ordered = sorted(weights.values(), reverse=True)
    if n == 0 or ordered[0] <= share * math.fsum(ordered) * (1 + ROUNDING):
        return dict(weights)
    bound = ordered[-1]
    for n_over in range(1, n):
        free = 1 - n_over * share
        if free <= ROUNDING:  # an equal share for each
            break
        limit = share * math.fsum(ordered[n_over:]) / free
        if ordered[n_over] <= limit * (1 + ROUNDING):
            bound = limit
            break
    return {site: min(weight, bound) for site, weight in weights.items()}


def most_over_share(largest_share: float | None) -> int:
    """How many sites at most can be over their share at once, however many there are."""
    share = DEFAULT_SHARE if largest_share is None else largest_share
    return math.ceil(1 / share - ROUNDING) - 1


def _share_of(n_sites: int, largest_share: float | None) -> float:
    if largest_share is None:
        return 1.0 if n_sites <= FEW_SITES else DEFAULT_SHARE
    return max(largest_share, 1 / max(1, n_sites))
