"""One metric by site: a half violin, a box and every case as a dot; the worst case is named."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from common.arrays import FloatArray
from common.figures.drawing import (
    BAND,
    INK,
    QUIET,
    SMALL_PT,
    counted,
    dress,
    shortened,
    styles,
    svg_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST_FOR_A_VIOLIN = 5
"""Chosen: with fewer cases a density shows the smoothing, not the cases."""

_CLOUD_TOP, _CLOUD_BASE = 0.44, 0.14
_BOX_HALF = 0.09
_RAIN, _RAIN_HALF = -0.195, 0.065
_LABEL = -0.41
"""Lanes of one site's row, which is 1 high, so that nothing is drawn over anything else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteCases:
    """One site of the chart.

    n_planned   every case of the site, scored or not
    cases       (name, value) of those that define the metric
    """

    site: str
    n_planned: int
    cases: tuple[tuple[str, float], ...]

    @property
    def values(self) -> list[float]:
        """The values alone."""
        return [value for _, value in self.cases]


@dataclass(frozen=True, kw_only=True, slots=True)
class Raincloud:
    """A metric's cases by site, one row a site.

    metric             name and unit, for the axis
    worst_site         the site to mark, as the tables rank it; None marks none
    higher_is_better   whether a site's worst case is its lowest (Dice) or its highest (distances)
    value_range        both ends of the axis; None: from the values
    """

    title: str
    metric: str
    sites: Sequence[SiteCases]
    worst_site: str | None = None
    higher_is_better: bool = True
    value_range: tuple[float, float] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no site has a case with a value."""
        return not any(site.cases for site in self.sites)

    def worst_case(self, site: SiteCases) -> tuple[str, float]:
        """Name and value of the site's worst case, the first of equals; it has at least one."""
        sign = 1 if self.higher_is_better else -1
        return min(site.cases, key=lambda case: sign * case[1])

    def in_words(self) -> str:
        """Mean, median, number of cases and worst case of every site."""
        return " ".join([f"{self.title}.", *map(self._site_in_words, self.sites)])

    def _site_in_words(self, site: SiteCases) -> str:
        mark = " (worst site)" if site.site == self.worst_site else ""
        n_cases = f"{len(site.cases)} of {counted(site.n_planned, 'case')}"
        if not site.cases:
            return f"{site.site}{mark}: {n_cases}."
        name, value = self.worst_case(site)
        return (
            f"{site.site}{mark}: {n_cases}, mean {statistics.fmean(site.values):.3f}, "
            f"median {statistics.median(site.values):.3f}, worst {name} with {value:.3f}."
        )

    def svg(self) -> str:
        """The chart as one SVG document that refers to nothing outside itself."""
        return svg_of(self.draw, height_in=1.0 + 0.78 * max(1, len(self.sites)))

    def draw(self, figure: Figure) -> None:
        """Puts the chart onto an empty figure."""
        axes = figure.subplots()
        low, high = self._ends()
        axes.set_xlim(low, high)
        axes.set_ylim(-0.55, max(1, len(self.sites)) - 0.5)
        axes.invert_yaxis()
        for row, (site, (colour, _, _)) in enumerate(zip(self.sites, styles(), strict=False)):
            if site.site == self.worst_site:
                axes.axhspan(row - 0.5, row + 0.5, color=BAND, zorder=0)
            if site.cases:
                self._draw_site(axes, site, row=row, colour=colour)
            else:
                _write(axes, (low + high) / 2, row, "no case with a value", "center")
        axes.set_yticks(range(len(self.sites)), [self._label(site) for site in self.sites])
        for label, site in zip(axes.get_yticklabels(), self.sites, strict=True):
            label.set_fontweight("bold" if site.site == self.worst_site else "normal")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"{self.metric} (line: median, diamond: mean, box: middle half of cases)")
        dress(axes, grid="x")
        axes.spines["left"].set_visible(False)

    def _label(self, site: SiteCases) -> str:
        mark = ", worst site" if site.site == self.worst_site else ""
        n_planned = counted(site.n_planned, "case")
        return f"{shortened(site.site)}\n{len(site.cases)} of {n_planned}{mark}"

    def _ends(self) -> tuple[float, float]:
        """The axis with room for the dots at its ends."""
        values = [value for site in self.sites for value in site.values] or [0.0, 1.0]
        low, high = self.value_range or (min(values), max(values))
        margin = 0.02 * (high - low) or max(0.05, 0.05 * abs(low))
        return low - margin, high + margin

    def _draw_site(self, axes: Axes, site: SiteCases, *, row: int, colour: str) -> None:
        values = np.array(site.values)
        _draw_cloud(axes, values, row=row, colour=colour)
        _draw_box(axes, values, row=row, colour=colour)
        rain = row - _RAIN + _RAIN_HALF * _stagger(values)
        axes.plot(
            values, rain, "o", color=colour, markersize=4, markeredgecolor="white",
            markeredgewidth=0.4, zorder=3, clip_on=False,
        )  # fmt: skip
        name, value = self.worst_case(site)
        worst = next(at for at, case in enumerate(site.cases) if case == (name, value))
        axes.plot(
            [value], [rain[worst]], "o", markersize=7, markerfacecolor="none",
            markeredgecolor=INK, zorder=4, clip_on=False,
        )  # fmt: skip
        left_half = value < sum(axes.get_xlim()) / 2
        text = f"{shortened(name, 32)}  {value:.3g}"
        _write(axes, value, row - _LABEL, text, "left" if left_half else "right")


def _draw_cloud(axes: Axes, values: FloatArray, *, row: int, colour: str) -> None:
    """A half violin with Scott's bandwidth, cut at the lowest and the highest case.

    Cut, because a smooth tail would show values that no case has, such as a Dice above 1.
    """
    spread = float(values.std(ddof=1)) if len(values) >= FEWEST_FOR_A_VIOLIN else 0.0
    if spread <= 1e-9 * float(np.abs(values).max()):
        return
    bandwidth = spread * len(values) ** -0.2
    at = np.linspace(values.min(), values.max(), 120)
    density = np.exp(-0.5 * ((at[:, None] - values) / bandwidth) ** 2).sum(axis=1)
    height = (_CLOUD_TOP - _CLOUD_BASE) * density / density.max()
    base = row - _CLOUD_BASE
    axes.fill_between(
        at, base, base - height, facecolor=colour, alpha=0.45, edgecolor=colour, zorder=2
    )


def _draw_box(axes: Axes, values: FloatArray, *, row: int, colour: str) -> None:
    low, q1, median, q3, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
    axes.plot([low, high], [row, row], color=INK, linewidth=1, zorder=2)
    axes.fill_between(
        [q1, q3], row - _BOX_HALF, row + _BOX_HALF, facecolor="white", edgecolor=INK, zorder=3
    )
    axes.plot([median] * 2, [row - _BOX_HALF, row + _BOX_HALF], color=INK, linewidth=2, zorder=4)
    axes.plot(
        [values.mean()], [row], "D", color=colour, markersize=5, markeredgecolor=INK, zorder=5
    )


def _stagger(values: FloatArray) -> FloatArray:
    """Heights from -1 to 1 that keep neighbouring dots apart; the same for the same cases."""
    heights = np.empty(len(values))
    heights[np.argsort(values, kind="stable")] = np.resize([0, 1, -1, 0.5, -0.5], len(values))
    return heights


def _write(axes: Axes, x: float, y: float, text: str, ha: str) -> None:
    axes.text(x, y, text, ha=ha, va="center", fontsize=SMALL_PT, color=QUIET)
