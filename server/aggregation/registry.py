"""Every aggregation rule, by its name in a recipe."""

from __future__ import annotations

from collections.abc import Mapping

from server.aggregation.interface import Aggregate
from server.aggregation.median import Median
from server.aggregation.weighted_mean import WeightedMean

AGGREGATIONS: Mapping[str, type[Aggregate]] = {"weighted-mean": WeightedMean, "median": Median}
