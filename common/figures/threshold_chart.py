"""Dice and lesion F1 by decision threshold, with the threshold that was chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.figures.drawing import QUIET, SMALL_PT, dress, legend_beside, styles, svg_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdLine:
    """One metric over the chart's thresholds.

    label    such as mean Dice
    values   one a threshold; None where it is undefined, which leaves a gap
    """

    label: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdChart:
    """Metrics by threshold.

    thresholds   rising
    chosen       the threshold in use, a vertical line; None draws none
    """

    title: str
    thresholds: tuple[float, ...]
    lines: Sequence[ThresholdLine]
    chosen: float | None = None

    def __post_init__(self) -> None:
        for line in self.lines:
            if len(line.values) != len(self.thresholds):
                raise ValueError(
                    f"line {line.label!r}: {len(self.thresholds)} thresholds, "
                    f"{len(line.values)} values"
                )

    @property
    def is_empty(self) -> bool:
        """Whether no line has a value."""
        return not any(self._defined(line) for line in self.lines)

    def in_words(self) -> str:
        """The best threshold of every line, and its value at the chosen one."""
        parts = [f"{self.title}, by threshold."]
        for line in self.lines:
            if not (pairs := self._defined(line)):
                parts.append(f"{line.label}: undefined.")
                continue
            best, value = max(pairs, key=lambda pair: pair[1])
            at_chosen = "".join(
                f", {value:.3f} at the chosen {at:g}" for at, value in pairs if self._is_chosen(at)
            )
            parts.append(f"{line.label}: highest {value:.3f} at {best:g}{at_chosen}.")
        if self.chosen is not None:
            parts.append(f"Chosen: {self.chosen:g}.")
        return " ".join(parts)

    def svg(self) -> str:
        """The chart as one SVG document that refers to nothing outside itself."""
        return svg_of(self.draw, height_in=max(3.3, 0.9 + 0.21 * len(self.lines)))

    def draw(self, figure: Figure) -> None:
        """Puts the chart onto an empty figure."""
        axes = figure.subplots()
        drawn = []
        for line, (colour, dash, marker) in zip(self.lines, styles(), strict=False):
            values = [math.nan if value is None else value for value in line.values]
            drawn += axes.plot(
                self.thresholds, values, color=colour, linestyle=dash, marker=marker,
                markersize=4, linewidth=1.4, clip_on=False, zorder=3,
            )  # fmt: skip
        if self.chosen is not None:
            axes.axvline(self.chosen, color=QUIET, linewidth=1.2, zorder=2)
            axes.annotate(
                f"chosen {self.chosen:g}", (self.chosen, 1.0), xycoords=("data", "axes fraction"),
                xytext=(0, 4), textcoords="offset points", ha="center", fontsize=SMALL_PT,
                color=QUIET,
            )  # fmt: skip
        legend_beside(figure, drawn, [line.label for line in self.lines])
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1),
            xlabel="threshold on the probability",
            ylabel="mean over cases",
        )
        dress(axes)

    def _defined(self, line: ThresholdLine) -> list[tuple[float, float]]:
        pairs = zip(self.thresholds, line.values, strict=True)
        return [(at, value) for at, value in pairs if value is not None]

    def _is_chosen(self, threshold: float) -> bool:
        return self.chosen is not None and abs(threshold - self.chosen) < 1e-9
