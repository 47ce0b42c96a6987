"""The next parameters as the weighted mean of what the sites learned."""

from __future__ import annotations

from typing import Literal

import numpy as np

from common.errors import UpdateRejected
from common.wire.messages import Arrays, SiteUpdate

Weighting = Literal["equal", "cases", "lesion-volume"]


def weight_of(update: SiteUpdate, weighting: Weighting) -> float:
    """How much one site counts: 1, its training cases, or the mL of lesion in them.

    Source   McMahan et al. 2017, arXiv:1602.05629 (cases). The other two are ours.
    """
    match weighting:
        case "equal":
            return 1.0
        case "cases":
            return float(update.n_cases)
        case "lesion-volume":
            return update.lesion_volume_ml


def moved(parameters: Arrays, mean_change: Arrays) -> Arrays:
    """`parameters` plus the mean change, dtypes kept.

    Averaging changes equals averaging parameters, because all sites start the round alike.
    """
    if parameters.keys() != mean_change.keys():
        raise UpdateRejected("the mean change does not name the parameters it should change")
    ended = {
        name: np.asarray(start + mean_change[name], start.dtype)
        for name, start in parameters.items()
    }
    if odd := [name for name, array in ended.items() if not np.isfinite(array).all()]:
        raise UpdateRejected(f"the mean change makes {odd[:5]} infinite; this round is not kept")
    return ended


def norm(change: Arrays) -> float:
    """Euclidean length of a change over all its arrays."""
    squares = [float(np.sum(np.square(array.astype(np.float64)))) for array in change.values()]
    return float(np.sqrt(sum(squares)))
