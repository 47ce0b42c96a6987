"""Whether the site head gives every image the same answer."""

from __future__ import annotations

import math

from server.events.history import RunHistory

COLLAPSED_SHARE = 0.02
"""Of the spread of a head that names every site (chosen)."""


def head_spread_all(history: RunHistory) -> float | None:
    """The head's spread over the patches of all sites in the last training round that has one.

    None without a head, and in a run of an older version, which knows each site's own spread alone.
    """
    spreads = [r.head_spread_all for r in history.training if r.head_spread_all is not None]
    return spreads[-1] if spreads else None


def head_collapsed(spread_all: float | None, *, n_sites: int) -> bool:
    """Whether the answer hardly depends on the image, at whichever site.

    spread_all   standard deviation of the head's probabilities over the patches of all sites, mean
                 over its outputs
    n_sites      outputs of the head

    It is compared with a head that names the right site of every patch, as many from each site: of
    each output the variance is then (1 / n) (1 - 1 / n). One site's own spread says nothing: it is
    about 0 for that head too.
    """
    if spread_all is None or n_sites < 2:
        return False
    return spread_all < COLLAPSED_SHARE * math.sqrt(n_sites - 1) / n_sites
