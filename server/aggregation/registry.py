"""Every way to make one update of many, by its name in a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from common.wire.messages import Arrays
from server.aggregation.median import Median
from server.aggregation.weighted_mean import WeightedMean


class Aggregate(Protocol):
    """Takes the sites' changes in, one at a time, and gives the consortium's."""

    def add(self, site: str, arrays: Arrays, weight: float) -> None:
        """Folds one reply in; UpdateRejected leaves the aggregate as it was."""
        ...

    def result(self) -> Arrays:
        """The consortium's change, once every reply is in."""
        ...


AGGREGATIONS: Mapping[str, Callable[[Arrays], Aggregate]] = {
    "weighted-mean": WeightedMean,
    "median": Median,
}
"""Parameters whose names, shapes and dtypes every reply must have in; an empty aggregate out."""
