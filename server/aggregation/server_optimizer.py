"""The coordinator's optimizer: the mean of the sites' changes, taken as a gradient's opposite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from common.errors import UpdateRejected
from common.learning.networks.parameters import MEAN, VARIANCE
from common.recipe.server_optimizer import (
    AdamServer,
    MomentumServer,
    PlainServer,
    ServerOptimizer,
)
from common.wire.field_types import Arrays

FIRST, SECOND = "first.", "second."
"""Begin the names of what is remembered of a parameter: a mean of changes, a mean of squares."""


def server_step(
    change: Arrays,
    state: Arrays,
    settings: ServerOptimizer,
    *,
    plain: Callable[[str], bool] = lambda name: False,
) -> tuple[Arrays, Arrays]:
    """What is added to the parameters, and what is remembered for the next round.

    change    the aggregate of the sites' changes, name -> array
    state     of the round before; empty in the first
    plain     names whose change is added as it is, beside batch norm's running statistics and whole
              numbers, which are measured and not learned
    UpdateRejected where what is remembered would not be finite.
    Sources   Hsu et al. 2019, arXiv:1909.06335 (momentum); Reddi et al. 2021, arXiv:2003.00295,
              algorithm 2 (adam). Chosen: computed in float64, remembered in float32.
    """
    if isinstance(settings, PlainServer):
        return change, {}
    added, kept = dict(change), {}
    for name, array in change.items():
        measured = name.endswith((MEAN, VARIANCE)) or array.dtype.kind != "f"
        if measured or plain(name):
            continue
        delta = array.astype(np.float64)
        first = state.get(FIRST + name, np.zeros(delta.shape)).astype(np.float64)
        if isinstance(settings, MomentumServer):
            first = settings.beta * first + delta
            step = settings.learning_rate * first
        elif isinstance(settings, AdamServer):
            begin = np.full(delta.shape, settings.tau**2)
            second = state.get(SECOND + name, begin).astype(np.float64)
            first = settings.beta_1 * first + (1 - settings.beta_1) * delta
            second = settings.beta_2 * second + (1 - settings.beta_2) * np.square(delta)
            step = settings.learning_rate * first / (np.sqrt(second) + settings.tau)
            kept[SECOND + name] = _as(second, np.float32)
        kept[FIRST + name] = _as(first, np.float32)
        added[name] = _as(step, array.dtype)
    if odd := sorted(name for name, array in kept.items() if not np.isfinite(array).all()):
        raise UpdateRejected(
            f"the server optimizer {settings.name!r} would remember values that are not finite, "
            f"of {odd[:5]}; this round is not kept"
        )
    return added, kept


def _as(array: FloatArray, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The array in that precision; what does not fit is infinite, and refused where it is used."""
    with np.errstate(over="ignore"):
        return array.astype(dtype)
