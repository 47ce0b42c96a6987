"""Two networks on the same cases: every case's difference, and the mean with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from common.figures.drawing import (
    BAND,
    FONT_PT,
    INK,
    SMALL_PT,
    counted,
    dress,
    legend_beside,
    shortened,
    signed,
    styles,
    svg_of,
    widened,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LANES = (0.0, -0.2, 0.2, -0.1, 0.1, -0.3, 0.3)
"""Heights within a metric's row that neighbouring dots take in turn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedCase:
    """One case that both networks were scored on; `difference` in the metric's unit."""

    site: str
    case: str
    difference: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricDifference:
    """One metric: its cases, and their mean with an interval.

    unit       such as mm; empty for a share. Metrics of one unit share an axis
    mean       None without a case
    interval   both ends, such as BCa's at 95 %; None where there are too few cases for one
    """

    metric: str
    unit: str = ""
    cases: Sequence[PairedCase]
    mean: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifferences:
    """Left a dot a case, right the means; one row a metric, one pair of panels a unit.

    first, second   the networks: a difference is the first minus the second
    interval        what the intervals are, such as "95 % BCa interval"
    """

    title: str
    first: str
    second: str
    interval: str
    metrics: Sequence[MetricDifference]

    @property
    def is_empty(self) -> bool:
        """Whether no metric has a case."""
        return not any(metric.cases for metric in self.metrics)

    def in_words(self) -> str:
        """Mean, interval and range of every metric."""
        parts = [f"{self.title}: {self.first} minus {self.second}, mean with {self.interval}."]
        return " ".join([*parts, *map(_in_words, self.metrics)])

    def svg(self) -> str:
        """The chart as one SVG document that refers to nothing outside itself."""
        n_units, n_sites = len(self._units), len(self._sites)
        height_in = 0.7 + 0.65 * n_units + 0.48 * len(self.metrics)
        return svg_of(self.draw, height_in=max(2.6, height_in, 0.6 + 0.21 * n_sites))

    def draw(self, figure: Figure) -> None:
        """Puts the chart onto an empty figure."""
        groups = [[m for m in self.metrics if m.unit == unit] for unit in self._units]
        panels = figure.subplots(
            max(1, len(groups)), 2, squeeze=False, width_ratios=(1.35, 1),
            height_ratios=[len(group) for group in groups] or None,
        )  # fmt: skip
        for (cases, means), group in zip(panels, groups, strict=False):
            self._draw_cases(cases, group)
            _draw_means(means, group)
            unit = group[0].unit or "share"
            cases.set_xlabel(f"difference, {unit}")
            means.set_xlabel(f"mean difference, {unit}")
        figure.suptitle(
            f"{shortened(self.first, 30)} minus {shortened(self.second, 30)}",
            x=0.01, ha="left", fontsize=FONT_PT, fontweight="bold",
        )  # fmt: skip
        panels[0, 0].set_title("every case")
        panels[0, 1].set_title(f"mean and {self.interval}")
        legend_beside(figure, *self._legend())

    @property
    def _units(self) -> list[str]:
        return list(dict.fromkeys(metric.unit for metric in self.metrics))

    @property
    def _sites(self) -> list[str]:
        return list(dict.fromkeys(case.site for metric in self.metrics for case in metric.cases))

    def _legend(self) -> tuple[list[Artist], list[str]]:
        from matplotlib.lines import Line2D

        handles: list[Artist] = [
            Line2D([], [], linestyle="", marker=marker, color=colour, markersize=5)
            for _, (colour, _, marker) in zip(self._sites, styles(), strict=False)
        ]
        return handles, [shortened(site, 20) for site in self._sites]

    def _draw_cases(self, axes: Axes, group: Sequence[MetricDifference]) -> None:
        style = dict(zip(self._sites, styles(), strict=False))
        for row, metric in enumerate(group):
            ranked = sorted(metric.cases, key=lambda case: case.difference)
            for case, lane in zip(ranked, np.resize(_LANES, len(ranked)), strict=True):
                colour, _, marker = style[case.site]
                axes.plot(
                    [case.difference], [row + lane], marker, color=colour, markersize=4.5,
                    markeredgecolor="white", markeredgewidth=0.4, zorder=3,
                )  # fmt: skip
        _dress(axes, group)
        axes.set_yticks(range(len(group)), [metric.metric for metric in group])


def _draw_means(axes: Axes, group: Sequence[MetricDifference]) -> None:
    for row, metric in enumerate(group):
        if metric.interval is not None:
            axes.plot(metric.interval, [row, row], "|-", color=INK, linewidth=1.6, markersize=9)
        if metric.mean is not None:
            axes.plot([metric.mean], [row], "D", color=INK, markersize=5.5, zorder=3)
        axes.text(
            0.5, row - 0.3, _figures(metric), transform=axes.get_yaxis_transform(), ha="center",
            va="center", fontsize=SMALL_PT, color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )  # fmt: skip
    _dress(axes, group)
    axes.set_yticks([])


def _dress(axes: Axes, group: Sequence[MetricDifference]) -> None:
    """Zero in the picture, the first metric on top, a band behind every second one."""
    axes.axvline(0, color=INK, linewidth=1.0, zorder=1)
    for row in range(0, len(group), 2):
        axes.axhspan(row - 0.5, row + 0.5, color=BAND, zorder=0)
    axes.set_ylim(len(group) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.set_xlim(widened(axes.get_xlim(), 1.0 if group[0].unit else 0.02))
    axes.locator_params(axis="x", nbins=5)
    dress(axes, grid="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _figures(metric: MetricDifference) -> str:
    if metric.mean is None:
        return "no case"
    digits = 2 if metric.unit else 3
    text = signed(metric.mean, digits)
    if metric.interval is None:
        return f"{text} (too few cases for an interval)"
    low, high = metric.interval
    return f"{text} [{signed(low, digits)}, {signed(high, digits)}]"


def _in_words(metric: MetricDifference) -> str:
    unit = f" {metric.unit}" if metric.unit else ""
    if not metric.cases:
        return f"{metric.metric}: no case."
    lowest = min(metric.cases, key=lambda case: case.difference)
    highest = max(metric.cases, key=lambda case: case.difference)
    return (
        f"{metric.metric}: {_figures(metric)}{unit} over {counted(len(metric.cases), 'case')}, "
        f"from {signed(lowest.difference, 3)} ({lowest.case} of {lowest.site}) "
        f"to {signed(highest.difference, 3)} ({highest.case} of {highest.site})."
    )
