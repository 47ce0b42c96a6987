"""Calibration: the share of lesion by predicted probability, and how many voxels have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.figures.drawing import COLOURS, INK, QUIET, SMALL_PT, counted, dress, svg_of
from common.metrics.operating_curves import ReliabilityBin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliabilityChart:
    """A reliability diagram with the histogram of voxels below it.

    error             expected calibration error over all voxels of the region
    suspected_error   the same over the voxels with p >= 0.1
    region            whose voxels count
    """

    title: str
    bins: Sequence[ReliabilityBin]
    error: float | None
    suspected_error: float | None
    region: str = "brain"

    @property
    def is_empty(self) -> bool:
        """Whether there is no voxel in any bin."""
        return not any(group.n_voxels for group in self.bins)

    def in_words(self) -> str:
        """Both calibration errors and every bin."""
        parts = [f"{self.title}: share of lesion by predicted probability.", *self._errors()]
        parts += [
            f"Probability {group.low:g} to {group.high:g}: {counted(group.n_voxels, 'voxel')}, "
            f"mean {group.mean_probability:.3f}, lesion share {group.lesion_share:.3f}."
            for group in self.bins
            if group.n_voxels
        ]
        return " ".join(parts)

    def _errors(self) -> list[str]:
        errors = [
            (f"all {self.region} voxels", self.error),
            ("voxels with p >= 0.1", self.suspected_error),
        ]
        return [f"ECE, {of}: {_number(error)}." for of, error in errors]

    def svg(self) -> str:
        """The chart as one SVG document that refers to nothing outside itself."""
        return svg_of(self.draw, height_in=5.2)

    def draw(self, figure: Figure) -> None:
        """Puts the chart onto an empty figure."""
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
        self._draw_diagram(above)
        self._draw_histogram(below)
        below.set_xlabel("predicted probability of lesion")
        below.set_xlim(0, 1)
        below.set_xticks([group.low for group in self.bins] + [1.0])

    def _draw_diagram(self, axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=1.2)
        pairs = [(group.mean_probability, group.lesion_share) for group in self.bins]
        known = [(said, found) for said, found in pairs if said is not None and found is not None]
        axes.plot(
            [said for said, _ in known], [found for _, found in known],
            "o-", color=COLOURS[0], markersize=5, linewidth=1.4, clip_on=False, zorder=3,
        )  # fmt: skip
        errors = [line.replace(">=", "\N{GREATER-THAN OR EQUAL TO}") for line in self._errors()]
        lines = ["dashed: perfectly calibrated", *(line.removesuffix(".") for line in errors)]
        axes.text(
            1.02, 1.0, "\n".join(lines), transform=axes.transAxes, va="top", ha="left",
            color=INK, linespacing=1.6,
        )  # fmt: skip
        axes.set(ylim=(0, 1), ylabel="share that is lesion")
        dress(axes)

    def _draw_histogram(self, axes: Axes) -> None:
        """Voxels on a logarithmic axis that begins below 1, so that a single voxel has a bar."""
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

        most = max((group.n_voxels for group in self.bins), default=1)
        axes.set_yscale("log")
        axes.set_ylim(0.5, max(10, most) * 12)
        for group in self.bins:
            middle = (group.low + group.high) / 2
            if group.n_voxels:
                axes.bar(
                    middle, group.n_voxels, (group.high - group.low) * 0.9, bottom=0,
                    color="#bcd6e8", edgecolor=INK, linewidth=0.8, zorder=2,
                )  # fmt: skip
            axes.text(
                middle, max(group.n_voxels, 0.5) * 1.25, _brief(group.n_voxels), ha="center",
                va="bottom", fontsize=SMALL_PT, color=INK,
            )  # fmt: skip
        axes.yaxis.set_major_locator(LogLocator(base=100))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _brief(value)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylabel("voxels")
        dress(axes, grid="y")


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _brief(n: float) -> str:
    """Such as 870, 12 k, 3.4 M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.2g} {letter}" if n < 99.5 * size else f"{n / size:.0f} {letter}"
    return f"{n:.0f}"
