"""Curves by round: one line a site, which differ in dash and marker as well as in colour."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common.figures.drawing import COLOURS, INK, SMALL_PT, dress, legend_beside, styles, svg_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One line.

    rounds     rising
    values     one a round; None where it is undefined, which leaves a gap
    emphasis   drawn black and thick: the main line of the chart
    companion  drawn as the curve before it, thin and with hollow markers: what it is compared with
    """

    label: str
    rounds: tuple[int, ...]
    values: tuple[float | None, ...]
    emphasis: bool = False
    companion: bool = False

    def __post_init__(self) -> None:
        if len(self.rounds) != len(self.values):
            raise ValueError(
                f"curve {self.label!r}: {len(self.rounds)} rounds, {len(self.values)} values"
            )

    @property
    def defined(self) -> list[tuple[int, float]]:
        """The (round, value) pairs that have a value."""
        pairs = zip(self.rounds, self.values, strict=True)
        return [(at, value) for at, value in pairs if value is not None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """Curves on one pair of axes.

    title          also begins the text description
    y_range        both ends of the y axis; None: from the values
    levels         label -> y of horizontal lines to compare with
    marked_round   a vertical line: the round that was selected
    divided_after  round -> what begins after it: a dashed line between this round and the next
    """

    title: str
    y_label: str
    curves: Sequence[Curve]
    y_range: tuple[float, float] | None = None
    levels: Mapping[str, float]
    marked_round: int | None = None
    divided_after: Mapping[int, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether no curve has a single value."""
        return not any(curve.defined for curve in self.curves)

    def in_words(self) -> str:
        """What a reader who cannot see the chart should know: first and last value of each line."""
        parts = [f"{self.title}, by round."]
        for curve in self.curves:
            if pairs := curve.defined:
                (first, start), (last, end) = pairs[0], pairs[-1]
                span = f"{start:.3f} at round {first}"
                parts.append(
                    f"{curve.label}: {span}."
                    if first == last
                    else f"{curve.label}: {span}, {end:.3f} at round {last}."
                )
        parts += [f"{label}: {level:.3f}." for label, level in self.levels.items()]
        if self.marked_round is not None:
            parts.append(f"Round {self.marked_round} is marked.")
        parts += [f"After round {at}: {what}." for at, what in self.divided_after.items()]
        return " ".join(parts)

    def svg(self) -> str:
        """The chart as one SVG document that refers to nothing outside itself."""
        n_labels = len(self.curves) + len(self.levels)
        return svg_of(self.draw, height_in=max(3.3, 0.9 + 0.21 * n_labels))

    def draw(self, figure: Figure) -> None:
        """Puts the chart onto an empty figure."""
        axes = figure.subplots()
        lines = [*_draw_curves(axes, self.curves), *_draw_levels(axes, self.levels.values())]
        labels = [*(curve.label for curve in self.curves), *self.levels]
        legend_beside(figure, lines, labels)
        if self.marked_round is not None:
            _mark(axes, self.marked_round)
        for at, what in self.divided_after.items():
            _divide(axes, at, what)
        _dress(axes, self.y_label, self.y_range)


def _draw_curves(axes: Axes, curves: Iterable[Curve]) -> list[Line2D]:
    plain = styles(COLOURS)
    emphatic = styles((INK,))
    lines: list[Line2D] = []
    style = ("", "", "")
    for curve in curves:
        if not curve.companion:
            style = next(emphatic if curve.emphasis else plain)
        colour, dash, marker = style
        lines += axes.plot(
            curve.rounds,
            [math.nan if value is None else value for value in curve.values],
            color=colour,
            linestyle=dash,
            marker=marker,
            markersize=5,
            markerfacecolor="white" if curve.companion else colour,
            linewidth=2.6 if curve.emphasis else 0.8 if curve.companion else 1.4,
            zorder=3 if curve.emphasis else 2,
        )
    return lines


def _draw_levels(axes: Axes, levels: Iterable[float]) -> list[Line2D]:
    return [
        axes.axhline(level, color="#666666", linewidth=1.3, linestyle=dash)
        for level, dash in zip(levels, itertools.cycle(((0, (1, 2)), (0, (6, 3)))), strict=False)
    ]


def _mark(axes: Axes, at: int) -> None:
    axes.axvline(at, color="#888888", linewidth=1.0, zorder=1)
    axes.annotate(
        "selected",
        (at, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        fontsize=SMALL_PT,
        color="#555555",
    )


def _divide(axes: Axes, after: int, what: str) -> None:
    """A line half a round later; its label stands above that of a marked round."""
    axes.axvline(after + 0.5, color="#888888", linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        what,
        (after + 0.5, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 14),
        textcoords="offset points",
        ha="center",
        fontsize=SMALL_PT,
        color="#555555",
    )


def _dress(axes: Axes, y_label: str, y_range: tuple[float, float] | None) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("round")
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if y_range is not None:
        axes.set_ylim(*y_range)
    dress(axes, grid="y")
