"""The moving average of the rounds' parameters."""

from __future__ import annotations

import numpy as np

from common.wire.field_types import Arrays


def moved_average(average: Arrays, parameters: Arrays, *, past: float, round_index: int) -> Arrays:
    """The average with one more round's parameters in it, dtypes kept.

    average      after the round before; anything before the first round, where it counts for
                 nothing
    past         weight of the past, in [0, 1)
    round_index  of these parameters, from 1

    After n rounds the one m rounds ago has the weight past^m (1 - past) / (1 - past^n): the weights
    sum to 1 from the first round on, and the first rounds count no more than their age allows.
    Source   moving averages of parameters: Polyak and Juditsky 1992; the correction of the start is
             Adam's (Kingma and Ba 2015, arXiv:1412.6980).
    Chosen   running means and variances of batch norm are averaged alike: between rounds means
             differ too, which such a variance leaves out. Whole numbers are the last round's.
    """
    share = (1 - past) / (1 - past**round_index)
    return {name: _moved(average.get(name, new), new, share) for name, new in parameters.items()}


def _moved(old: np.ndarray, new: np.ndarray, share: float) -> np.ndarray:
    if new.dtype.kind != "f":
        return new
    start = old.astype(np.float64)
    return np.asarray(start + share * (new - start), new.dtype)
