"""The parameters of the next round: those of this one plus the aggregate of the sites' updates."""

from __future__ import annotations

import numpy as np

from common.errors import UpdateRejected
from common.learning.networks.parameters import MEAN, VARIANCE, not_finite
from common.wire.field_types import Arrays

LARGEST_PARAMETER = 1e6
"""Of what is learned, in either direction. Those of trained networks are below 100; through a few
layers of such parameters no float32 stays finite (chosen)."""


def apply_update(parameters: Arrays, update: Arrays) -> Arrays:
    """`parameters` plus the consortium's update, dtypes kept.

    Averaging updates equals averaging parameters, because all sites start the round alike.
    UpdateRejected, and the round is not kept, where the result is not finite, or no network can
    have it: the run ends before a checkpoint holds such parameters, and resumes from the last one.
    """
    if parameters.keys() != update.keys():
        raise UpdateRejected("the aggregate does not name the parameters it should change")
    ended = {
        name: np.asarray(start + update[name], start.dtype) for name, start in parameters.items()
    }
    if (odd_name := not_finite(ended)) is not None:
        raise UpdateRejected(f"the aggregate makes {odd_name} infinite; this round is not kept")
    for name, array in ended.items():
        measured = name.endswith((MEAN, VARIANCE)) or array.dtype.kind != "f"
        if not measured and array.size and float(np.abs(array).max()) > LARGEST_PARAMETER:
            raise UpdateRejected(
                f"the aggregate makes {name} larger than {LARGEST_PARAMETER:g}: want parameters "
                "that a network can compute with; this round is not kept"
            )
    return ended


def change_norm(change: Arrays) -> float:
    """Euclidean length of a change over all its arrays."""
    squares = [float(np.sum(np.square(array.astype(np.float64)))) for array in change.values()]
    return float(np.sqrt(sum(squares)))
