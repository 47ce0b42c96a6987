"""What the two charts over all decision thresholds share: the threshold in use, ringed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from common.figures.drawing import INK
from common.metrics.operating_curves import FrocPoint, PrecisionRecallPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Point = TypeVar("Point", FrocPoint, PrecisionRecallPoint)


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatingChart(Generic[Point]):
    """One line a series, such as a site or a network.

    series      label -> points by rising threshold
    threshold   the one in use, ringed on every line that has it; None rings none
    """

    title: str
    series: Mapping[str, Sequence[Point]]
    threshold: float | None = None

    def in_use(self, points: Sequence[Point]) -> list[Point]:
        """The points at the threshold in use."""
        if self.threshold is None:
            return []
        return [point for point in points if abs(point.threshold - self.threshold) < 1e-9]

    def ring(self, axes: Axes, x: Sequence[float], y: Sequence[float]) -> None:
        """Rings around these places."""
        axes.plot(
            x, y, "o", markersize=10, markerfacecolor="none", markeredgecolor=INK, zorder=4,
            clip_on=False,
        )  # fmt: skip

    def ring_in_legend(self, axes: Axes) -> tuple[list[Line2D], list[str]]:
        """Handle and label of the ring for the legend; none without a threshold."""
        if self.threshold is None:
            return [], []
        ring = axes.plot([], [], "o", markersize=10, markerfacecolor="none", markeredgecolor=INK)
        return ring, [f"threshold in use, {self.threshold:g}"]
