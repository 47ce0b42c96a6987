"""One metric's cases by decision threshold as boxes, one panel a method."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from common.figures.drawing import INK, SMALL_PT, dress, shortened, styles, svg_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WHISKERS = (5, 95)
"""Percentiles at the whiskers' ends (chosen): extreme cases are many at the ends of the grid."""
BOX_SHARE = 0.62
"""Width of a box as a share of the smallest step between thresholds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodBoxes:
    """One panel. values: threshold -> the metric of each case that defines it."""

    label: str
    values: Mapping[float, tuple[float, ...]]

    @property
    def medians(self) -> dict[float, float]:
        """Threshold -> median over the cases, rising thresholds."""
        return {
            at: statistics.median(values) for at, values in sorted(self.values.items()) if values
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdBoxes:
    """The metric, from 0 to 1, by threshold and method; each method's best median is marked."""

    title: str
    metric: str
    methods: Sequence[MethodBoxes]

    @property
    def is_empty(self) -> bool:
        """Whether no method has a case with a value."""
        return not any(method.medians for method in self.methods)

    def in_words(self) -> str:
        """Each method's highest median, and the threshold it is reached at."""
        parts = [f"{self.title}."]
        for method in self.methods:
            if not (medians := method.medians):
                parts.append(f"{method.label}: undefined.")
                continue
            at = _best(medians)
            parts.append(
                f"{method.label}: highest median {medians[at]:.3f} at {at:g}, lowest "
                f"{min(medians.values()):.3f}."
            )
        return " ".join(parts)

    def svg(self) -> str:
        """The chart as one SVG document that refers to nothing outside itself."""
        return svg_of(self.draw, height_in=0.7 + 1.45 * max(1, len(self.methods)))

    def draw(self, figure: Figure) -> None:
        """Puts the chart onto an empty figure."""
        panels = figure.subplots(max(1, len(self.methods)), 1, sharex=True, squeeze=False)[:, 0]
        for axes, method, (colour, _, _) in zip(panels, self.methods, styles(), strict=False):
            self._draw_panel(axes, method, colour)
        for axes in panels:
            axes.set(xlim=(0, 1), ylim=(0, 1), ylabel=self.metric)
            dress(axes, grid="y")
        panels[-1].set_xlabel("threshold on the probability")

    def _draw_panel(self, axes: Axes, method: MethodBoxes, colour: str) -> None:
        medians = method.medians
        title = shortened(method.label, 40)
        if not medians:
            axes.set_title(f"{title}: no case with a value", loc="left")
            return
        axes.boxplot(
            [list(method.values[at]) for at in medians],
            positions=list(medians),
            widths=BOX_SHARE * _step(list(medians)),
            whis=WHISKERS,
            showfliers=False,
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": colour, "alpha": 0.45, "edgecolor": INK, "linewidth": 0.8},
            medianprops={"color": INK, "linewidth": 1.8},
            whiskerprops={"color": INK, "linewidth": 0.8},
            capprops={"color": INK, "linewidth": 0.8},
        )
        best = _best(medians)
        axes.plot([best], [0.02], "^", color=INK, markersize=5, clip_on=False, zorder=4)
        axes.set_title(title, loc="left")
        axes.set_title(
            f"\N{BLACK UP-POINTING TRIANGLE} highest median {medians[best]:.3f} at {best:g}",
            loc="right", fontsize=SMALL_PT,
        )  # fmt: skip


def _best(medians: Mapping[float, float]) -> float:
    """The threshold with the highest median; of equals the one nearest 0.5, then the lower."""
    return min(medians, key=lambda at: (-medians[at], abs(at - 0.5), at))


def _step(thresholds: Sequence[float]) -> float:
    """The smallest distance between two neighbours; 0.05 with one alone."""
    return min((b - a for a, b in pairwise(thresholds)), default=0.05)
