"""How predicted lesion volumes differ from the reference, after Bland and Altman."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.figures.drawing import (
    INK,
    QUIET,
    SMALL_PT,
    counted,
    dress,
    legend_beside,
    signed,
    spread_apart,
    styles,
    svg_of,
    widened,
)
from common.metrics.volume_agreement import VolumePoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class BlandAltman:
    """Every case's difference over its mean volume, mL, with bias and limits of agreement.

    sites       site -> its cases
    bias_ml     mean of predicted minus reference; None without a case
    limits_ml   lower and upper limit of agreement; None below 2 cases
    """

    title: str
    sites: Mapping[str, Sequence[VolumePoint]]
    bias_ml: float | None
    limits_ml: tuple[float, float] | None

    @property
    def is_empty(self) -> bool:
        """Whether there is no case."""
        return not any(self.sites.values())

    @property
    def _levels(self) -> list[tuple[str, float]]:
        """Name and place of the horizontal lines, from the lowest up."""
        low, high = self.limits_ml or (None, None)
        named = (("lower limit", low), ("bias", self.bias_ml), ("upper limit", high))
        return [(name, at) for name, at in named if at is not None]

    def in_words(self) -> str:
        """Bias, limits, and the case that differs most."""
        parts = [f"{self.title}: predicted minus reference lesion volume."]
        cases = [(site, point) for site, points in self.sites.items() for point in points]
        parts.append(f"{counted(len(cases), 'case')} of {counted(len(self.sites), 'site')}.")
        parts += [f"{name[0].upper()}{name[1:]} {signed(at, 2)} mL." for name, at in self._levels]
        if cases:
            site, point = max(cases, key=lambda case: abs(case[1].difference_ml))
            parts.append(
                f"Largest difference: {point.name} of {site}, {signed(point.difference_ml, 2)} mL."
            )
        return " ".join(parts)

    def svg(self) -> str:
        """The chart as one SVG document that refers to nothing outside itself."""
        return svg_of(self.draw, height_in=max(3.8, 0.9 + 0.21 * len(self.sites)))

    def draw(self, figure: Figure) -> None:
        """Puts the chart onto an empty figure."""
        axes = figure.subplots()
        drawn, labels = [], []
        for (site, points), (colour, _, marker) in zip(self.sites.items(), styles(), strict=False):
            drawn += axes.plot(
                [point.mean_ml for point in points], [point.difference_ml for point in points],
                marker, color=colour, markersize=5, alpha=0.85, markeredgecolor="white",
                markeredgewidth=0.4, zorder=3,
            )  # fmt: skip
            labels.append(site)
        axes.axhline(0, color="#999999", linewidth=0.8)
        axes.margins(x=0.05, y=0.12)
        self._draw_levels(axes)
        axes.set_xlabel("mean of predicted and reference lesion volume, mL")
        axes.set_ylabel("predicted minus reference, mL")
        legend_beside(figure, drawn, labels)
        dress(axes)

    def _draw_levels(self, axes: Axes) -> None:
        """Bias and limits across the axes, their values at the right, one below the other."""
        for name, at in self._levels:
            dash = "-" if name == "bias" else "--"
            axes.axhline(at, color=INK, linewidth=1.4, linestyle=dash, zorder=2)
        axes.set_xlim(widened(axes.get_xlim(), 1.0))
        low, high = widened(axes.get_ylim(), 1.0)
        axes.set_ylim(low, high)
        gap = 0.11 * (high - low)  # two lines of the smallest text
        places = spread_apart([at for _, at in self._levels], gap)
        for (name, at), place in zip(self._levels, places, strict=True):
            axes.annotate(
                f"{name}\n{signed(at, 2)} mL", (1.0, place), xycoords=("axes fraction", "data"),
                xytext=(4, 0), textcoords="offset points", va="center", fontsize=SMALL_PT,
                color=INK if name == "bias" else QUIET,
            )  # fmt: skip
