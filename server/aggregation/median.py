"""The middle of what the sites learned, parameter by parameter: one site cannot pull it away."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from common.errors import UpdateRejected
from common.wire.messages import Arrays
from server.aggregation.weighted_mean import kinds_of, refuse_unlike


class Median:
    """The median over the sites of each single number; the mean of the middle two where even.

    like     name -> array; every reply must have these names, shapes and dtypes, all values finite
    Source   Yin et al. 2018, arXiv:1803.01498. Every site counts alike, whatever its
             weight above 0; one with a weight of 0 is refused, as in the weighted mean.

    It needs all replies at once: memory grows with the number of sites.
    """

    def __init__(self, like: Mapping[str, npt.NDArray[np.generic]]) -> None:
        self._like = kinds_of(like)
        self._replies: list[Arrays] = []

    def add(self, site: str, arrays: Arrays, weight: float) -> None:
        """Keeps one reply; UpdateRejected, which names the site, for one unlike the others."""
        refuse_unlike(self._like, site, arrays, weight)
        self._replies.append(arrays)

    def result(self) -> Arrays:
        """The median so far, in the dtypes of `like`; whole numbers are rounded."""
        if not self._replies:
            raise UpdateRejected("no reply was kept: there is no median")
        middle = {}
        for name, (_, dtype) in self._like.items():
            value = np.median(np.stack([reply[name] for reply in self._replies]), axis=0)
            middle[name] = np.asarray(np.rint(value) if dtype.kind == "i" else value, dtype)
        return middle
