"""Pictures of a prepared case: before and after, one modality on another, its histogram."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from client.prepare.qc_planes import Plane, View, Window
from common.arrays import FloatArray
from common.errors import SiteDataError
from common.figures.drawing import COLOURS, INK, QUIET, dress, svg_of
from common.imaging.standardization.kmeans_standardization import Centres, intensity_classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_IN = 1.9
GAP_IN = 0.05
LEFT_IN = 0.36
TOP_IN = 0.3
DPI = 110
TEXT = "#f2f2f2"
OUTLINE = "#56d4f5"
LESIONS = "#fff07a"
SIDES: dict[View, tuple[str, str]] = {
    "axial": ("R", "L"),
    "coronal": ("R", "L"),
    "sagittal": ("A", "P"),
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PictureRow:
    """One row of a picture: a plane for each of the window's cuts.

    planes    0 black, 1 white
    brains    the brain in each plane, outlined at 0.5; or nothing
    lesions   the same for the site's lesions
    """

    label: str
    planes: Sequence[Plane]
    brains: Sequence[Plane] = ()
    lesions: Sequence[Plane] = ()


def picture(window: Window, rows: Sequence[PictureRow]) -> bytes:
    """A PNG with the rows below each other; the patient's right and anterior are on the left."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sizes = [window.size_mm(cut.view) for cut in window.cuts]
    in_per_mm = PANEL_IN / max(height for _, height in sizes)
    widths = [width * in_per_mm for width, _ in sizes]
    width_in = LEFT_IN + sum(widths) + GAP_IN * len(widths)
    height_in = TOP_IN + len(rows) * (PANEL_IN + GAP_IN)
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    for number, row in enumerate(rows):
        bottom = height_in - TOP_IN - (number + 1) * (PANEL_IN + GAP_IN)
        figure.text(
            0.5 * LEFT_IN / width_in,
            (bottom + PANEL_IN / 2) / height_in,
            row.label,
            color=TEXT,
            rotation=90,
            ha="center",
            va="center",
            fontsize=9,
            parse_math=False,
        )
        left = LEFT_IN
        for column, panel_in in enumerate(widths):
            place = (left / width_in, bottom / height_in, panel_in / width_in, PANEL_IN / height_in)
            _panel(figure.add_axes(place), window, row, column)
            left += panel_in + GAP_IN
    left = LEFT_IN
    lowest = window.low[2] + 18.0
    for cut, panel_in in zip(window.cuts, widths, strict=True):
        above = f"{cut.place_mm - lowest:.0f} mm" if cut.view == "axial" else cut.view
        figure.text(
            (left + panel_in / 2) / width_in,
            1 - 0.5 * TOP_IN / height_in,
            above,
            color=TEXT,
            ha="center",
            va="center",
            fontsize=8,
        )
        left += panel_in + GAP_IN
    return _png(canvas)


def _panel(axes: Axes, window: Window, row: PictureRow, column: int) -> None:
    cut = window.cuts[column]
    first, second = window.across(cut.view)
    extent = (window.low[first], window.high[first], window.low[second], window.high[second])
    axes.set_axis_off()
    axes.imshow(
        row.planes[column].T,
        cmap="gray",
        vmin=0,
        vmax=1,
        origin="lower",
        extent=extent,
        interpolation="bilinear",
    )
    for masks, colour in ((row.brains, OUTLINE), (row.lesions, LESIONS)):
        if masks and masks[column].max() > 0.5 > masks[column].min():
            axes.contour(
                masks[column].T, levels=[0.5], colors=[colour], linewidths=0.7, extent=extent
            )
    axes.set_xlim(extent[1], extent[0])  # radiological; in a sagittal plane anterior is left
    axes.set_ylim(extent[2], extent[3])
    axes.set_aspect("equal", anchor="S")
    for x, side, alignment in zip((0.02, 0.98), SIDES[cut.view], ("left", "right"), strict=True):
        axes.text(x, 0.02, side, transform=axes.transAxes, color=TEXT, fontsize=7, ha=alignment)


def _png(canvas: Any) -> bytes:
    """The drawn figure in 256 colours: small, and the same bytes each time."""
    from PIL import Image

    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    png = io.BytesIO()
    drawn.quantize(256, dither=Image.Dither.NONE).save(png, format="png", optimize=True)
    return png.getvalue()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Intensities:
    """One modality's intensities inside the brain, and the template's centres where known.

    voxels     (n,), in units of their own mean
    centres    the image's own three, in the same units; None where it has no three classes
    template   the consortium's, in the same units
    """

    modality: str
    voxels: FloatArray
    centres: Centres | None
    template: Centres | None


def intensities(modality: str, voxels: FloatArray, template: Centres | None) -> Intensities:
    """What the histogram shows of one modality.

    voxels   (n,), inside the brain, in any units, mean above 0
    """
    try:
        classes = intensity_classes(voxels)
    except SiteDataError:
        return Intensities(modality=modality, voxels=voxels, centres=None, template=template)
    return Intensities(
        modality=modality,
        voxels=voxels / classes.mean,
        centres=classes.centres / classes.mean,
        template=template,
    )


def histograms(shown: Sequence[Intensities]) -> str:
    """One SVG: each modality's histogram with its own class centres and the template's."""

    def draw(figure: Figure) -> None:
        grid = figure.subplots(1, len(shown), squeeze=False)
        for axes, one in zip(grid[0], shown, strict=True):
            _histogram(axes, one)

    return svg_of(draw, height_in=2.9)


def _histogram(axes: Axes, shown: Intensities) -> None:
    highest = float(np.percentile(shown.voxels, 99.8))
    edges = np.linspace(min(0.0, float(shown.voxels.min())), max(highest, 1e-6), 121)
    axes.hist(
        shown.voxels, bins=edges.tolist(), density=True, histtype="stepfilled", color="#cfcfcf",
        edgecolor=QUIET, linewidth=0.8,
    )  # fmt: skip # one line a thought
    for centres, colour, dash, label in (
        (shown.centres, INK, "--", "this image's classes"),
        (shown.template, COLOURS[1], "-", "the template's"),
    ):
        for number, centre in enumerate([] if centres is None else centres.tolist()):
            axes.axvline(
                centre, color=colour, linestyle=dash, linewidth=1.4,
                label=label if number == 0 else None,
            )  # fmt: skip # one line a thought
    axes.set_title(shown.modality)
    axes.set_xlabel("intensity / mean inside the brain")
    axes.set_ylabel("density")
    if shown.centres is not None or shown.template is not None:
        axes.legend(frameon=False)
    dress(axes)
