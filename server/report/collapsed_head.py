"""Whether the site head gives every image the same answer."""

from __future__ import annotations

import math

from server.events.history import RunHistory

COLLAPSED_SHARE = 0.02
"""Of the spread of a head that names every site (chosen)."""


def head_has_collapsed(history: RunHistory) -> bool:
    """Whether the head of the last training round that has one had collapsed.

    Without a head, and in a run of an older version, which knows each site's own spread alone: no.
    """
    measured = [
        (of_round.head_spread_all, of_round.n_head_outputs)
        for of_round in history.training
        if of_round.head_spread_all is not None
    ]
    return bool(measured) and head_collapsed(*measured[-1])


def head_collapsed(spread_all: float, n_outputs: int) -> bool:
    """Whether the answer hardly depends on the image, at whichever site.

    spread_all   standard deviation of the head's probabilities over the patches of all sites, mean
                 over its outputs
    n_outputs    sites among which it tells

    It is compared with a head that names the right site of every patch, as many from each site: of
    each output the variance is then (1 / n) (1 - 1 / n). One site's own spread says nothing: it is
    about 0 for that head too.
    """
    if n_outputs < 2:
        return False
    return spread_all < COLLAPSED_SHARE * math.sqrt(n_outputs - 1) / n_outputs
