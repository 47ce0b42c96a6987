"""Number and volume of lesions in the parts of a split, by site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.figures.drawing import INK, SMALL_PT, counted, dress, legend_beside, styles, svg_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ORDER = ("training", "validation", "threshold", "test", "unseen")
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---", "+++")
"""So that a grey print keeps the sites apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartOfSite:
    """What one part of the split holds at one site.

    n_cases   with and without lesions
    """

    part: str
    site: str
    n_cases: int
    n_lesions: int
    lesion_ml: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PartsChart:
    """Two panels, number of lesions and volume in ml: a bar a part, stacked by site."""

    title: str
    parts: Sequence[PartOfSite]

    @property
    def is_empty(self) -> bool:
        """Whether there is no part."""
        return not self.parts

    @property
    def names(self) -> list[str]:
        """The parts, in the order in which a study uses them; others after them."""
        found = dict.fromkeys(part.part for part in self.parts)
        return [*(n for n in ORDER if n in found), *(n for n in found if n not in ORDER)]

    def in_words(self) -> str:
        """Cases, lesions and volume of every part, over the sites."""
        parts = [f"{self.title}."]
        for name in self.names:
            of_part = self._of(name)
            parts.append(
                f"{name}: {counted(sum(p.n_cases for p in of_part), 'case')}, "
                f"{counted(sum(p.n_lesions for p in of_part), 'lesion')}, "
                f"{sum(p.lesion_ml for p in of_part):.1f} ml."
            )
        return " ".join(parts)

    def svg(self) -> str:
        """The chart as one SVG document that refers to nothing outside itself."""
        n_sites = len({part.site for part in self.parts})
        return svg_of(self.draw, height_in=max(1.1 + 0.5 * len(self.names), 0.9 + 0.21 * n_sites))

    def draw(self, figure: Figure) -> None:
        """Puts the chart onto an empty figure."""
        from matplotlib.ticker import MaxNLocator

        left, right = figure.subplots(1, 2, sharey=True)
        handles: list[Artist] = []
        sites = list(dict.fromkeys(part.site for part in self.parts))
        counts, volumes = [0.0] * len(self.names), [0.0] * len(self.names)
        for index, (site, (colour, _, _)) in enumerate(zip(sites, styles(), strict=False)):
            of_site = [self._at(name, site) for name in self.names]
            looks = {"color": colour, "hatch": HATCHES[index % len(HATCHES)]}
            handles.append(
                _stack(left, [float(p.n_lesions) if p else 0.0 for p in of_site], counts, looks)
            )
            _stack(right, [p.lesion_ml if p else 0.0 for p in of_site], volumes, looks)
        _write_totals(left, counts, digits=0)
        _write_totals(right, volumes, digits=1)
        left.set_yticks(range(len(self.names)), [self._label(name) for name in self.names])
        left.invert_yaxis()
        left.set_xlabel("lesions")
        left.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        right.set_xlabel("volume of lesions, ml")
        for axes in (left, right):
            axes.tick_params(axis="y", length=0)
            dress(axes, grid="x")
        legend_beside(figure, handles, sites)

    def _label(self, name: str) -> str:
        return f"{name}\n{counted(sum(p.n_cases for p in self._of(name)), 'case')}"

    def _of(self, name: str) -> list[PartOfSite]:
        return [part for part in self.parts if part.part == name]

    def _at(self, name: str, site: str) -> PartOfSite | None:
        return next((part for part in self._of(name) if part.site == site), None)


def _stack(
    axes: Axes, widths: Sequence[float], begun: list[float], looks: dict[str, str]
) -> Artist:
    """Draws one site's share of every bar where the bars drawn before end, and moves their ends."""
    drawn = axes.barh(
        range(len(widths)), widths, left=list(begun), height=0.62, facecolor=looks["color"],
        hatch=looks["hatch"], edgecolor="white", linewidth=0.6, zorder=2,
    )  # fmt: skip
    for index, width in enumerate(widths):
        begun[index] += width
    return drawn.patches[0]


def _write_totals(axes: Axes, totals: Sequence[float], *, digits: int) -> None:
    axes.set_xlim(0, 1.18 * max([*totals, 1e-9]))  # room for the figures at the bars' ends
    for index, total in enumerate(totals):
        axes.annotate(
            f"{total:,.{digits}f}", (total, index), xytext=(3, 0), textcoords="offset points",
            va="center", fontsize=SMALL_PT, color=INK,
        )  # fmt: skip
