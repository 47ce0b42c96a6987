"""The median of the sites' updates, parameter by parameter: a single site cannot dominate it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from common.errors import UpdateRejected
from common.wire.field_types import Arrays
from server.aggregation.interface import Aggregate


class Median(Aggregate):
    """The median over the sites of each single number; the mean of the middle two where even.

    Source   Yin et al. 2018, arXiv:1803.01498. Every site counts alike, whatever its
             weight above 0; one with a weight of 0 is refused, as in the weighted mean.
    Chosen   batch norm's running statistics are medians too, without the variance between sites
             that the weighted mean adds: a square, which a single site could dominate.
    """

    def __init__(
        self, like: Mapping[str, npt.NDArray[np.generic]], *, largest_share: float | None = None
    ) -> None:
        super().__init__(like, largest_share=largest_share)
        self._updates: list[Arrays] = []

    def _add(self, site: str, update: Arrays, weight: float) -> None:
        self._updates.append(update)

    def result(self) -> Arrays:
        """The median of the updates, in the dtypes of `like`; whole numbers are rounded."""
        if not self._updates:
            raise UpdateRejected("no update was accumulated: there is no median")
        return {
            name: self._as_sent(name, np.median(np.stack([u[name] for u in self._updates]), axis=0))
            for name in self._like
        }

    @staticmethod
    def copies_held(n_sites: int, *, largest_share: float | None = None) -> int:
        """One for each site: a median needs all updates at once."""
        return n_sites
