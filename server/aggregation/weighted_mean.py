"""FedAvg: the weighted mean of the sites' updates, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from common.errors import UpdateRejected
from common.wire.messages import Arrays
from server.aggregation.interface import Aggregate


class WeightedMean(Aggregate):
    """sum of w_k x_k / sum of w_k, in float64.

    Source   McMahan et al. 2017, arXiv:1602.05629.
    """

    def __init__(self, like: Mapping[str, npt.NDArray[np.generic]]) -> None:
        super().__init__(like)
        self._sums = {name: np.zeros(array.shape) for name, array in like.items()}
        self._weight = 0.0

    def _add(self, update: Arrays, weight: float) -> None:
        for name, array in update.items():
            self._sums[name] += weight * array.astype(np.float64)
        self._weight += weight

    def result(self) -> Arrays:
        """The weighted mean of the updates, in the dtypes of `like`; whole numbers are rounded."""
        if self._weight <= 0:
            raise UpdateRejected("no update was accumulated: there is no mean")
        return {name: self._as_sent(name, sum_ / self._weight) for name, sum_ in self._sums.items()}

    @staticmethod
    def copies_held(n_sites: int) -> int:
        """Two, whatever the number of sites: the sums, in float64."""
        return 2
