"""The parameters of the next round: those of this one plus the aggregate of the sites' updates."""

from __future__ import annotations

import numpy as np

from common.errors import UpdateRejected
from common.wire.field_types import Arrays


def apply_update(parameters: Arrays, update: Arrays) -> Arrays:
    """`parameters` plus the consortium's update, dtypes kept.

    Averaging updates equals averaging parameters, because all sites start the round alike.
    """
    if parameters.keys() != update.keys():
        raise UpdateRejected("the aggregate does not name the parameters it should change")
    ended = {
        name: np.asarray(start + update[name], start.dtype) for name, start in parameters.items()
    }
    if odd := [name for name, array in ended.items() if not np.isfinite(array).all()]:
        raise UpdateRejected(f"the aggregate makes {odd[:5]} infinite; this round is not kept")
    return ended


def change_norm(change: Arrays) -> float:
    """Euclidean length of a change over all its arrays."""
    squares = [float(np.sum(np.square(array.astype(np.float64)))) for array in change.values()]
    return float(np.sqrt(sum(squares)))
