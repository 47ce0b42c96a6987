"""FedAvg: the weighted mean of the sites' updates, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from common.errors import UpdateRejected
from common.wire.field_types import Arrays
from server.aggregation.interface import Aggregate
from server.aggregation.weighted_variance import WeightedVariance


class WeightedMean(Aggregate):
    """sum of w_k x_k / sum of w_k, in float64; batch norm's running statistics as if pooled.

    Source   McMahan et al. 2017, arXiv:1602.05629.
    Chosen   a variance over all sites is the mean of the sites' variances and the variance of the
             sites' means: sum w (v + m^2) - (sum w m)^2. The second term is that of the changes of
             the means too, since every site started from the same mean. See ADR 0037.
    """

    def __init__(self, like: Mapping[str, npt.NDArray[np.generic]]) -> None:
        super().__init__(like)
        self._sums = {name: np.zeros(array.shape) for name, array in like.items()}
        self._between_sites = {
            mean: WeightedVariance(like[mean].shape) for mean in self._variance_of
        }
        self._weight = 0.0

    def _add(self, update: Arrays, weight: float) -> None:
        for name, array in update.items():
            self._sums[name] += weight * array.astype(np.float64)
        for mean, between_sites in self._between_sites.items():
            between_sites.add(update[mean], weight)
        self._weight += weight

    def result(self) -> Arrays:
        """The weighted mean of the updates, in the dtypes of `like`; whole numbers are rounded."""
        if self._weight <= 0:
            raise UpdateRejected("no update was accumulated: there is no mean")
        means = {name: sum_ / self._weight for name, sum_ in self._sums.items()}
        for mean, between_sites in self._between_sites.items():
            variance = self._variance_of[mean]
            means[variance] = means[variance] + between_sites.result()
        return {name: self._as_sent(name, value) for name, value in means.items()}

    @staticmethod
    def copies_held(n_sites: int) -> int:
        """Two, whatever the number of sites: the sums, in float64; statistics are a few arrays."""
        return 2
