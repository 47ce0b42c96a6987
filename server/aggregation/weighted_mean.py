"""FedAvg: the weighted mean of the sites' updates, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from common.errors import UpdateRejected
from common.wire.field_types import Arrays
from server.aggregation.interface import Aggregate
from server.aggregation.largest_share import capped_weights, most_over_share
from server.aggregation.weighted_variance import WeightedVariance


class WeightedMean(Aggregate):
    """sum of w_k x_k / sum of w_k, in float64; batch norm's running statistics as if pooled.

    Source   McMahan et al. 2017, arXiv:1602.05629.
    Chosen   a variance over all sites is the mean of the sites' variances and the variance of the
             sites' means: sum w (v + m^2) - (sum w m)^2. The second term is that of the changes of
             the means too, since every site started from the same mean. See ADR 0037. No site has
             more than its share of the weights (largest_share.py): the updates of the few sites
             that can have more are kept, and what is over is taken off at the end. See ADR 0049.
    """

    def __init__(
        self, like: Mapping[str, npt.NDArray[np.generic]], *, largest_share: float | None = None
    ) -> None:
        super().__init__(like, largest_share=largest_share)
        self._sums = {name: np.zeros(array.shape) for name, array in like.items()}
        self._between_sites = {
            mean: WeightedVariance(like[mean].shape) for mean in self._variance_of
        }
        self._weight = 0.0
        self._weights: dict[str, float] = {}
        self._heaviest: list[tuple[str, Arrays, float]] = []
        self._capped: dict[str, tuple[float, float]] = {}

    @property
    def capped(self) -> dict[str, tuple[float, float]]:
        """Site -> the share it would have had and the one it has, of those bounded; once there is a
        result."""
        return self._capped

    def _add(self, site: str, update: Arrays, weight: float) -> None:
        self._count(update, weight)
        self._weights[site] = self._weights.get(site, 0.0) + weight
        heaviest = sorted(self._weights, key=lambda name: (-self._weights[name], name))
        kept = heaviest[: most_over_share(self._largest_share)]
        self._heaviest = [
            one for one in [*self._heaviest, (site, update, weight)] if one[0] in kept
        ]

    def _count(self, update: Arrays, weight: float) -> None:
        """Adds an update so many times; a weight below 0 takes off what was added before."""
        parts = {name: weight * array.astype(np.float64) for name, array in update.items()}
        for name, part in parts.items():  # nothing from here on can fail and leave a half added
            self._sums[name] += part
        for mean, between_sites in self._between_sites.items():
            between_sites.add(update[mean], weight)
        self._weight += weight

    def _bound_shares(self) -> None:
        """Takes off what the heaviest sites are above their share, the last that came first."""
        bounded = capped_weights(self._weights, self._largest_share)
        over = {site: w for site, w in self._weights.items() if bounded[site] < w}
        if not over:
            return
        total, total_after = sum(self._weights.values()), sum(bounded.values())
        for site, update, weight in reversed(self._heaviest):
            surplus = min(weight, self._weights[site] - bounded[site])
            if surplus > 0:
                self._count(update, -surplus)
                self._weights[site] -= surplus
        self._capped = {
            site: (weight / total, bounded[site] / total_after)
            for site, weight in sorted(over.items())
        }

    def result(self) -> Arrays:
        """The weighted mean of the updates, in the dtypes of `like`; whole numbers are rounded."""
        if self._weight <= 0:
            raise UpdateRejected("no update was accumulated: there is no mean")
        self._bound_shares()
        means = {name: sum_ / self._weight for name, sum_ in self._sums.items()}
        for mean, between_sites in self._between_sites.items():
            variance = self._variance_of[mean]
            means[variance] = means[variance] + between_sites.result()
        return {name: self._as_sent(name, value) for name, value in means.items()}

    @staticmethod
    def copies_held(n_sites: int, *, largest_share: float | None = None) -> int:
        """Two for the sums, in float64, and one for each site that may be over its share.

        Whatever the number of sites; statistics are a few arrays.
        """
        return 2 + most_over_share(largest_share)
