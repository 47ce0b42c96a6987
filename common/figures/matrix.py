"""Which training reached what on which site: one row a training, one column a tested site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.figures.drawing import INK, QUIET, SMALL_PT, shortened, svg_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

_SHADES = ("#ffffff", "#d3e3f0", "#8db8d9", "#3f84b5", "#0b3d66")
"""From low to high: each darker than the one before, so that grey print keeps the order."""

_CORNER = ((0, 0), (0, 1), (1, 1), (0, 0))
"""Outline of the mark of a site in training, for the key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixRow:
    """One training, or one baseline.

    label    what it was trained on
    group    such as federated, pooled, local, baseline; rows of one group follow each other
    values   one a column; None where it is undefined or was not run
    own      columns whose site took part in the training: a corner marks their cells
    """

    label: str
    group: str
    values: tuple[float | None, ...]
    own: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """A metric of every training on every site, written in its cell.

    metric        name of the metric and how it is averaged, such as mean Dice
    columns       the tested sites
    value_range   the values of the lightest and the darkest cell
    """

    title: str
    metric: str
    columns: tuple[str, ...]
    rows: Sequence[MatrixRow]
    value_range: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        low, high = self.value_range
        if not low < high:
            raise ValueError(f"value_range: want low below high, got {self.value_range}")
        for row in self.rows:
            if len(row.values) != len(self.columns):
                raise ValueError(
                    f"row {row.label!r}: {len(self.columns)} columns, {len(row.values)} values"
                )
            if unknown := sorted(row.own - set(self.columns)):
                raise ValueError(f"row {row.label!r}: no column is called {unknown}")

    @property
    def is_empty(self) -> bool:
        """Whether no cell has a value."""
        return all(value is None for row in self.rows for value in row.values)

    def in_words(self) -> str:
        """Every row with all its values; own sites are named as such."""
        parts = [f"{self.title}: {self.metric}, rows trained on, columns tested on."]
        for row in self.rows:
            cells = [
                f"{column}{' (in training)' if column in row.own else ''} "
                f"{'undefined' if value is None else f'{value:.2f}'}"
                for column, value in zip(self.columns, row.values, strict=True)
            ]
            parts.append(f"{row.group}, {row.label}: {', '.join(cells)}.")
        return " ".join(parts)

    def svg(self) -> str:
        """The chart as one SVG document that refers to nothing outside itself."""
        n_lines = len(self.rows) + len(self._headings)
        names_in = 1.6 if self._is_crowded else 0.3
        return svg_of(self.draw, height_in=0.5 + names_in + 0.3 * max(2, n_lines))

    def draw(self, figure: Figure) -> None:
        """Puts the chart onto an empty figure."""
        from matplotlib.colors import LinearSegmentedColormap

        axes = figure.subplots()
        shades = LinearSegmentedColormap.from_list("shades", list(_SHADES))
        places = self._places()
        for row, y in zip(self.rows, places, strict=True):
            for x, value in enumerate(row.values):
                self._draw_cell(axes, x, y, value, own=self.columns[x] in row.own, shades=shades)
        for group, y in self._headings:
            axes.text(
                -0.5, y + 0.12, group, ha="left", va="center", fontweight="bold", color=INK,
            )  # fmt: skip
        axes.set_xlim(-0.5, max(1, len(self.columns)) - 0.5)
        axes.set_ylim(max(places, default=0) + 0.5, -0.5)
        axes.set_yticks(places, [shortened(row.label, 26) for row in self.rows])
        axes.set_xticks(
            range(len(self.columns)), [shortened(column, 20) for column in self.columns],
            rotation=50 if self._is_crowded else 0, ha="left" if self._is_crowded else "center",
            rotation_mode="anchor",
        )  # fmt: skip
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        self._draw_key(figure)

    @property
    def _is_crowded(self) -> bool:
        """Whether the columns' names have no room side by side."""
        return max(map(len, self.columns), default=0) * len(self.columns) > 60

    @property
    def _headings(self) -> list[tuple[str, int]]:
        """(group, line) of every group's heading, which takes a line of its own."""
        headings: list[tuple[str, int]] = []
        for index, row in enumerate(self.rows):
            if index == 0 or row.group != self.rows[index - 1].group:
                headings.append((row.group, index + len(headings)))
        return headings

    def _places(self) -> list[int]:
        """The line of every row, below the heading of its group."""
        taken = {line for _, line in self._headings}
        lines = (line for line in range(len(self.rows) + len(taken)) if line not in taken)
        return list(lines)

    def _draw_cell(
        self, axes: Axes, x: int, y: int, value: float | None, *, own: bool, shades: Colormap
    ) -> None:
        from matplotlib.colors import to_hex
        from matplotlib.patches import Polygon, Rectangle

        low, high = self.value_range
        shade, ink = "white", INK
        if value is not None:
            shade = to_hex(shades(min(1.0, max(0.0, (value - low) / (high - low)))))
            ink = "white" if _luminance(shade) < 0.18 else INK  # either has a contrast of 4.5 there
        hatch = "" if value is not None else "////"
        axes.add_patch(
            Rectangle(
                (x - 0.5, y - 0.5), 1, 1, facecolor=shade, edgecolor="#999999", linewidth=0.5,
                hatch=hatch, zorder=1, clip_on=False,
            )
        )  # fmt: skip
        if value is None:
            return
        axes.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=SMALL_PT, color=ink)
        if own:
            width = 0.014 * len(self.columns)  # the same on paper however many columns there are
            corner = (x - 0.5, y - 0.5)
            ends = (corner[0] + width, corner[1]), (corner[0], corner[1] + 0.33)
            axes.add_patch(
                Polygon((corner, *ends), facecolor=ink, edgecolor=INK, linewidth=0.6, zorder=2)
            )

    def _draw_key(self, figure: Figure) -> None:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch
        from matplotlib.path import Path

        low, high = self.value_range
        handles: list[Artist] = [
            Patch(facecolor=_SHADES[0], edgecolor=QUIET, label=f"{self.metric} {low:g}"),
            Patch(facecolor=_SHADES[-1], edgecolor=QUIET, label=f"{high:g}"),
        ]
        if any(row.own for row in self.rows):
            handles.append(
                Line2D(
                    [], [], linestyle="", marker=Path(_CORNER), markersize=8, color=INK,
                    label="site in training",
                )
            )  # fmt: skip
        if any(value is None for row in self.rows for value in row.values):
            handles.append(
                Patch(facecolor="white", edgecolor=QUIET, hatch="////", label="undefined")
            )
        figure.legend(handles=handles, loc="outside lower left", ncols=4, frameon=False)


def _luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, 0 black to 1 white.

    Source  WCAG 2.2, "relative luminance".
    """
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
