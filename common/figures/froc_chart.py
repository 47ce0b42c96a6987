"""Lesions found against false lesions a case, over all thresholds (FROC)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.figures.drawing import dress, legend_beside, styles, svg_of
from common.figures.operating_chart import OperatingChart
from common.metrics.operating_curves import FrocPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TICKS = (0, 0.25, 0.5, 0.75, 1, 2, 5, 10, 20, 50, 100)
_SPARSE_TICKS = (0, 0.5, 1, 10, 100, 1000, 10_000, 100_000)
"""For an axis beyond 100, where the others would touch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrocChart(OperatingChart[FrocPoint]):
    """Lesion sensitivity against false lesions a case, one line a series."""

    @property
    def is_empty(self) -> bool:
        """Whether no point has a sensitivity."""
        return not any(_defined(points) for points in self.series.values())

    def in_words(self) -> str:
        """Both ends of every line, and the point in use."""
        parts = [f"{self.title}: lesion sensitivity against false-positive lesions per case."]
        for label, points in self.series.items():
            defined = _defined(points)
            if not defined:
                parts.append(f"{label}: undefined, there is no reference lesion.")
                continue
            ends = [defined[0]] if len(defined) == 1 else [defined[0], defined[-1]]
            ends += [point for point in self.in_use(defined) if point not in ends]
            parts.append(f"{label}: {'; '.join(_in_words(point) for point in ends)}.")
        return " ".join(parts)

    def svg(self) -> str:
        """The chart as one SVG document that refers to nothing outside itself."""
        return svg_of(self.draw, height_in=max(3.8, 0.9 + 0.21 * (len(self.series) + 1)))

    def draw(self, figure: Figure) -> None:
        """Puts the chart onto an empty figure."""
        axes = figure.subplots()
        lines, labels = [], []
        for (label, points), (colour, dash, marker) in zip(
            self.series.items(), styles(), strict=False
        ):
            defined = _defined(points)
            lines += axes.plot(
                *_places(defined), color=colour, linestyle=dash, marker=marker, markersize=4,
                linewidth=1.4, clip_on=False, zorder=3,
            )  # fmt: skip
            labels.append(label if defined else f"{label} (no lesion)")
            self.ring(axes, *_places(self.in_use(defined)))
        ring, in_use = self.ring_in_legend(axes)
        self._dress(axes)
        legend_beside(figure, lines + ring, labels + in_use)

    def _dress(self, axes: Axes) -> None:
        """A scale that is linear up to 1 false lesion a case and logarithmic beyond."""
        from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

        most = max(
            (p.false_positives_per_case for points in self.series.values() for p in points),
            default=1.0,
        )
        ticks = _TICKS if most <= _TICKS[-1] else _SPARSE_TICKS
        last = next((tick for tick in ticks if tick >= max(1, most)), most)
        axes.set_xscale("symlog", linthresh=1.0, linscale=1.0)
        axes.set_xlim(0, last)
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylim(0, 1)
        axes.set_xlabel("false-positive lesions per case")
        axes.set_ylabel("lesion sensitivity")
        dress(axes)


def _defined(points: Sequence[FrocPoint]) -> list[FrocPoint]:
    return [point for point in points if point.lesion_sensitivity is not None]


def _places(points: Sequence[FrocPoint]) -> tuple[list[float], list[float]]:
    """Where the points that have a sensitivity lie, x and y."""
    pairs = [(point.false_positives_per_case, point.lesion_sensitivity) for point in points]
    defined = [(x, y) for x, y in pairs if y is not None]
    return [x for x, _ in defined], [y for _, y in defined]


def _in_words(point: FrocPoint) -> str:
    return (
        f"{point.lesion_sensitivity:.3f} at {point.false_positives_per_case:.2f} per case "
        f"(threshold {point.threshold:g})"
    )
