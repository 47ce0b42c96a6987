"""Lesions found and confirmed by their size, with the counts behind every bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.figures.drawing import COLOURS, INK, QUIET, SMALL_PT, counted, dress, svg_of
from common.metrics.size_classes import SizeClass

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR = 0.36


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeChart:
    """Lesion sensitivity and PPV of every size class, side by side.

    classes   smallest first
    """

    title: str
    classes: Sequence[SizeClass]

    @property
    def is_empty(self) -> bool:
        """Whether there is no lesion of any size, in reference or prediction."""
        return not any(size.n_reference or size.n_predicted for size in self.classes)

    def in_words(self) -> str:
        """Both figures of every class with their counts."""
        parts = [f"{self.title}, by lesion size in mm3."]
        for size in self.classes:
            found = _in_words(size.sensitivity, size.n_detected, size.n_reference, "reference")
            right = _in_words(size.ppv, size.n_confirmed, size.n_predicted, "predicted")
            parts.append(f"{size.label}: sensitivity {found}, PPV {right}.")
        return " ".join(parts)

    def svg(self) -> str:
        """The chart as one SVG document that refers to nothing outside itself."""
        return svg_of(self.draw, height_in=3.6)

    def draw(self, figure: Figure) -> None:
        """Puts the chart onto an empty figure."""
        axes = figure.subplots()
        for at, size in enumerate(self.classes):
            found = (size.sensitivity, size.n_detected)
            right = (size.ppv, size.n_confirmed)
            _draw_bar(axes, at - _BAR / 2 - 0.02, *found, colour=COLOURS[0], hatch="")
            _draw_bar(axes, at + _BAR / 2 + 0.02, *right, colour="#f6d7b0", hatch="////")
        labels = [
            f"{size.label.replace('<=', chr(0x2264))} mm\N{SUPERSCRIPT THREE}\n"
            f"{size.n_reference:,} reference\n{size.n_predicted:,} predicted"
            for size in self.classes
        ]
        axes.set_xticks(range(len(self.classes)), labels)
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.6, max(1, len(self.classes)) - 0.4)
        axes.set_ylim(0, 1.17)
        axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
        axes.set_ylabel("share of lesions")
        axes.set_xlabel("volume of the lesion")
        dress(axes, grid="y")
        self._draw_legend(figure)

    @staticmethod
    def _draw_legend(figure: Figure) -> None:
        from matplotlib.patches import Patch

        figure.legend(
            handles=[
                Patch(
                    facecolor=COLOURS[0],
                    edgecolor=INK,
                    label="sensitivity: share and number of reference lesions detected",
                ),
                Patch(
                    facecolor="#f6d7b0",
                    edgecolor=INK,
                    hatch="////",
                    label="PPV: share and number of predicted lesions confirmed",
                ),
            ],
            loc="outside upper left",
            ncols=2,
            frameon=False,
        )


def _draw_bar(
    axes: Axes, x: float, value: float | None, n_part: int, *, colour: str, hatch: str
) -> None:
    """One bar, above it share and number of lesions; an empty slot where there is none."""
    if value is None:
        axes.text(x, 0.02, "none", ha="center", va="bottom", fontsize=SMALL_PT, color=QUIET)
        return
    axes.bar(x, value, _BAR, color=colour, edgecolor=INK, linewidth=0.8, hatch=hatch, zorder=2)
    text = f"{value:.2f}\n{n_part:,}"
    axes.text(x, value + 0.015, text, ha="center", va="bottom", fontsize=SMALL_PT, color=INK)


def _in_words(value: float | None, n_part: int, n_all: int, noun: str) -> str:
    if value is None:
        return f"undefined (no {noun} lesion)"
    return f"{value:.2f} ({n_part:,} of {counted(n_all, f'{noun} lesion')})"
