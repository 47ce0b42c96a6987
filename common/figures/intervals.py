"""Methods one below the other: a mean with its interval, and the lowest of the groups it is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.figures.drawing import (
    BAND,
    COLOURS,
    INK,
    dress,
    legend_beside,
    shortened,
    svg_of,
    widened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class IntervalRow:
    """One row. interval: both ends, or None; lowest: its name and value, or None."""

    label: str
    mean: float
    interval: tuple[float, float] | None
    lowest: tuple[str, float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class IntervalChart:
    """A mean with its interval for each row, in the order given, the first on top.

    x_label   what the mean is of
    lowest    what the lowest is, such as "worst site"
    """

    title: str
    x_label: str
    lowest: str
    rows: Sequence[IntervalRow]

    @property
    def is_empty(self) -> bool:
        """Whether there is no row."""
        return not self.rows

    def in_words(self) -> str:
        """Every row's mean, interval and lowest."""
        return " ".join([f"{self.title}, {self.x_label}.", *map(self._row_in_words, self.rows)])

    def svg(self) -> str:
        """The chart as one SVG document that refers to nothing outside itself."""
        return svg_of(self.draw, height_in=1.1 + 0.27 * max(2, len(self.rows)))

    def draw(self, figure: Figure) -> None:
        """Puts the chart onto an empty figure."""
        axes = figure.subplots()
        for place, row in enumerate(self.rows):
            if row.interval is not None:
                axes.plot(row.interval, [place] * 2, "|-", color=INK, linewidth=1.4, markersize=8)
            axes.plot([row.mean], [place], "o", color=COLOURS[0], markersize=6, zorder=3)
            if row.lowest is not None:
                axes.plot([row.lowest[1]], [place], "x", color=COLOURS[1], markersize=6, zorder=4)
        axes.set_yticks(range(len(self.rows)), [shortened(row.label, 34) for row in self.rows])
        axes.set_xlabel(self.x_label)
        axes.set_title(self.title, loc="left", fontweight="bold")
        self._dress(axes)
        self._legend(figure)

    def _dress(self, axes: Axes) -> None:
        for place in range(0, len(self.rows), 2):
            axes.axhspan(place - 0.5, place + 0.5, color=BAND, zorder=0)
        axes.set_ylim(len(self.rows) - 0.5, -0.5)
        axes.margins(x=0.06)
        axes.set_xlim(widened(axes.get_xlim(), 0.05))
        dress(axes, grid="x")
        axes.tick_params(axis="y", length=0)

    def _legend(self, figure: Figure) -> None:
        from matplotlib.lines import Line2D

        shown = [("o", COLOURS[0], "mean"), ("x", COLOURS[1], self.lowest)]
        handles = [
            Line2D([], [], linestyle="", marker=marker, color=colour, markersize=6)
            for marker, colour, _ in shown
        ]
        interval = Line2D([], [], marker="|", color=INK, linewidth=1.4, markersize=8)
        legend_beside(figure, [*handles, interval], [*(words for *_, words in shown), "interval"])

    def _row_in_words(self, row: IntervalRow) -> str:
        words = f"{row.label}: {row.mean:.3f}"
        if row.interval is not None:
            words += " ({:.3f} to {:.3f})".format(*row.interval)
        if row.lowest is not None:
            words += ", {} {} {:.3f}".format(self.lowest, *row.lowest)
        return f"{words}."
