"""Precision against recall over voxels, with lines of equal Dice behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from common.figures.drawing import QUIET, SMALL_PT, dress, legend_beside, styles, svg_of
from common.figures.operating_chart import OperatingChart
from common.metrics.operating_curves import PrecisionRecallPoint, average_precision

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_DICE_LEVELS = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionRecallChart(OperatingChart[PrecisionRecallPoint]):
    """Precision against recall over voxels, one line a series."""

    @property
    def is_empty(self) -> bool:
        """Whether no series has a point."""
        return not any(self.series.values())

    def in_words(self) -> str:
        """Average precision of every line, and the point in use."""
        parts = [f"{self.title}: precision against recall over voxels."]
        for label, points in self.series.items():
            average = average_precision(points)
            if average is None:
                parts.append(f"{label}: undefined, there is no lesion voxel.")
                continue
            at = "".join(
                f", at threshold {point.threshold:g} precision {point.precision:.3f} "
                f"and recall {point.recall:.3f}"
                for point in self.in_use(points)
            )
            parts.append(f"{label}: average precision {average:.3f}{at}.")
        return " ".join(parts)

    def svg(self) -> str:
        """The chart as one SVG document that refers to nothing outside itself."""
        return svg_of(self.draw, height_in=max(4.4, 0.9 + 0.21 * (len(self.series) + 2)))

    def draw(self, figure: Figure) -> None:
        """Puts the chart onto an empty figure."""
        axes = figure.subplots()
        equal_dice = _draw_dice(axes)
        lines, labels = [], []
        for (label, points), (colour, dash, marker) in zip(
            self.series.items(), styles(), strict=False
        ):
            lines += axes.plot(
                [point.recall for point in points], [point.precision for point in points],
                color=colour, linestyle=dash, marker=marker, markersize=4, markevery=10,
                linewidth=1.4, clip_on=False, zorder=3,
            )  # fmt: skip
            average = average_precision(points)
            labels.append(
                f"{label} (no lesion)" if average is None else f"{label} (AP {average:.2f})"
            )
            for point in self.in_use(points):
                self.ring(axes, [point.recall], [point.precision])
        ring, in_use = self.ring_in_legend(axes)
        equal = "equal Dice of all voxels"
        legend_beside(figure, [*lines, *ring, equal_dice], [*labels, *in_use, equal])
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="recall (sensitivity)", ylabel="precision (PPV)")
        dress(axes)


def _draw_dice(axes: Axes) -> Line2D:
    """Where precision p and recall r have one Dice d: p = d r / (2 r - d)."""
    line: Line2D
    for dice in _DICE_LEVELS:
        recall = np.linspace(dice / (2 - dice), 1, 100)
        (line,) = axes.plot(
            recall, dice * recall / (2 * recall - dice), color="#999999", linewidth=0.9, zorder=1
        )
        axes.annotate(
            f"Dice {dice:g}", (1.0, dice / (2 - dice)), xytext=(5, 0), textcoords="offset points",
            va="center", fontsize=SMALL_PT, color=QUIET, annotation_clip=False,
        )  # fmt: skip
    return line
