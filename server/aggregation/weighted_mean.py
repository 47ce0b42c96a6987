"""Replies one at a time into a weighted mean: memory does not grow with the number of sites."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from common.errors import UpdateRejected
from common.wire.messages import Arrays

Kinds = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
"""Name -> shape and dtype."""


class WeightedMean:
    """sum of w_k x_k / sum of w_k, in float64, over arrays that look like `like`.

    like   name -> array; every reply must have these names, shapes and dtypes, all values finite
    """

    def __init__(self, like: Mapping[str, npt.NDArray[np.generic]]) -> None:
        self._like = kinds_of(like)
        self._sums = {name: np.zeros(array.shape) for name, array in like.items()}
        self._weight = 0.0

    def add(self, site: str, arrays: Arrays, weight: float) -> None:
        """Folds one reply in; UpdateRejected, which names the site, leaves the mean as it was."""
        refuse_unlike(self._like, site, arrays, weight)
        for name, array in arrays.items():
            self._sums[name] += weight * array.astype(np.float64)
        self._weight += weight

    def result(self) -> Arrays:
        """The mean so far, in the dtypes of `like`; whole numbers are rounded."""
        if self._weight <= 0:
            raise UpdateRejected("no reply was folded in: there is no mean")
        mean = {}
        for name, (_, dtype) in self._like.items():
            value = self._sums[name] / self._weight
            mean[name] = np.asarray(np.rint(value) if dtype.kind == "i" else value, dtype)
        return mean


def kinds_of(arrays: Mapping[str, npt.NDArray[np.generic]]) -> Kinds:
    """The shape and dtype of each array."""
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


def refuse_unlike(like: Kinds, site: str, arrays: Arrays, weight: float) -> None:
    """Nothing, or UpdateRejected where a reply is not what the others are, or not finite."""
    if not 0 < weight < math.inf:
        raise UpdateRejected(f"site {site}: want a weight above 0, got {weight!r}")
    if odd := sorted(arrays.keys() ^ like.keys()):
        raise UpdateRejected(f"site {site}: these arrays are missing or unknown: {odd[:5]}")
    for name, array in arrays.items():
        shape, dtype = like[name]
        if array.shape != shape or array.dtype != dtype:
            raise UpdateRejected(
                f"site {site}: {name} should be {dtype}{list(shape)}, "
                f"got {array.dtype}{list(array.shape)}"
            )
        if not np.isfinite(array).all():
            n_odd = int(np.size(array) - np.isfinite(array).sum())
            raise UpdateRejected(
                f"site {site}: {name} has {n_odd} values that are NaN or infinite; "
                "its update is left out of this round"
            )
