"""How every chart is drawn: size, colours, and the SVG that it becomes.

Series differ in dash, marker or hatch as well as in colour, so that a grey print keeps them apart.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 8.6
FONT_PT = 9
SMALL_PT = 8
"""The smallest text of any chart."""

INK = "#1a1a1a"
QUIET = "#555555"
GRID = "#dddddd"
BAND = "#f0f0f0"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5c4b8a")
"""Okabe and Ito's, the yellow replaced: it vanishes on white."""
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")

Draw = Callable[["Figure"], None]
"""Puts a chart onto an empty figure."""


def svg_of(draw: Draw, *, height_in: float) -> str:
    """What `draw` makes, as one SVG document that refers to nothing outside itself.

    The same chart gives the same bytes: no date, and names that do not depend on chance.
    """
    svg = io.StringIO()
    unnamed = {"Creator": None, "Date": None, "Format": None, "Type": None}
    with _style():
        figure_of(draw, height_in=height_in).savefig(svg, format="svg", metadata=unnamed)
    return svg.getvalue()


def figure_of(draw: Draw, *, height_in: float) -> Figure:
    """The figure that `svg_of` writes."""
    from matplotlib.figure import Figure

    with _style():
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained", facecolor="white")
        draw(figure)
    return figure


def styles(colours: Sequence[str] = COLOURS) -> Iterator[tuple[str, str, str]]:
    """Colour, dash and marker for one series after another, without end."""
    return zip(*map(itertools.cycle, (colours, DASHES, MARKERS)), strict=True)


def _style() -> AbstractContextManager[None]:
    import matplotlib

    return matplotlib.rc_context(
        {
            "font.size": FONT_PT,
            "axes.titlesize": FONT_PT,
            "axes.labelsize": FONT_PT,
            "legend.fontsize": FONT_PT,
            "xtick.labelsize": FONT_PT,
            "ytick.labelsize": FONT_PT,
            "text.parse_math": False,  # a site may be called $5
            "hatch.linewidth": 0.7,
            "svg.fonttype": "path",
            "svg.hashsalt": "lesionfed",
        }
    )


def shortened(name: str, most: int = 24) -> str:
    """The name in at most `most` characters: long ones lose their middle, both ends stay."""
    if len(name) <= most:
        return name
    tail = (most - 1) // 3
    return f"{name[: most - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{name[len(name) - tail :]}"


def counted(n: int, noun: str) -> str:
    """Such as 1 case, 2 cases."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def signed(value: float, digits: int) -> str:
    """The value with its sign and a fixed number of decimals; what rounds to 0 has no sign."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def widened(ends: tuple[float, float], least: float) -> tuple[float, float]:
    """The ends of an axis, moved apart to be at least `least` from each other.

    Equal values would otherwise be drawn on an axis that is 1e-17 wide.
    """
    low, high = ends
    missing = max(0.0, least - (high - low))
    return low - missing / 2, high + missing / 2


def spread_apart(places: Sequence[float], gap: float) -> list[float]:
    """The places moved as little as needed to lie at least `gap` apart, in the given order.

    Close ones form a cluster around the middle of the places that they had.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    clusters: list[list[int]] = []
    for index in order:
        clusters.append([index])
        while len(clusters) > 1 and (
            _first(clusters[-1], places, gap) - _last(clusters[-2], places, gap) < gap - 1e-12
        ):
            merged = clusters.pop()
            clusters[-1] += merged
    moved = list(places)
    for cluster in clusters:
        for rank, index in enumerate(cluster):
            moved[index] = _first(cluster, places, gap) + rank * gap
    return moved


def _first(cluster: Sequence[int], places: Sequence[float], gap: float) -> float:
    middle = sum(places[index] for index in cluster) / len(cluster)
    return middle - gap * (len(cluster) - 1) / 2


def _last(cluster: Sequence[int], places: Sequence[float], gap: float) -> float:
    return _first(cluster, places, gap) + gap * (len(cluster) - 1)


def dress(axes: Axes, *, grid: str = "both") -> None:
    """A light grid behind the data, and no box around it.

    grid   x, y or both: across which axis its lines stand
    """
    axes.grid(axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type] # one of the three
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend_beside(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """The legend outside the axes, at the right."""
    shown = [shortened(label, 34) for label in labels]
    figure.legend(handles, shown, loc="outside right upper", frameon=False)
