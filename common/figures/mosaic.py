"""One subject on one page: slices of the images, the reference, and the prediction's errors."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from common.arrays import BoolArray
from common.errors import GeometryError
from common.figures.lesion_slices import lesion_slices

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

Image = NDArray[Any]

N_SLICES = 6
WINDOW_PERCENTILES = (1.0, 99.7)
"""Of the brain's intensities: black and white of the picture (chosen)."""
MARGIN_MM = 4.0
PANEL_HEIGHT_IN = 2.1
RESOLUTION_DPI = 130
DIMMED = 0.5
"""Brightness of the brain under painted voxels."""

BACKGROUND = "black"
TEXT = "#f2f2f2"
QUIET_TEXT = "#b4b4b4"
REFERENCE_COLOUR = "#56d4f5"


@dataclass(frozen=True, slots=True)
class Mark:
    """How one kind of voxel is painted.

    The three colours are lighter than the dimmed brain under them and differ in lightness, so that
    a grey print keeps them apart.
    """

    label: str
    colour: str
    opacity: float


FOUND = Mark("found: in both", "#22b88c", 0.95)
EXTRA = Mark("extra: in the prediction only", "#fff07a", 1.0)
MISSED = Mark("missed: in the reference only", "#ff8fc2", 1.0)
PREDICTED = Mark("predicted", "#fff07a", 1.0)


def lesion_mosaic(
    images: Mapping[str, Image],
    reference: BoolArray | None,
    prediction: BoolArray,
    *,
    spacing_mm: Image | tuple[float, float, float],
    title: str,
    brain: BoolArray | None = None,
    lesions: str = "lesions",
) -> bytes:
    """A PNG: six axial slices of each image, below them the reference and the prediction.

    images      label of the row -> (i, j, k), closest to RAS: i runs to the patient's right, j
                forwards, k upwards; at least one. Reference and prediction are drawn on the last.
                All share one grey window: they are of one modality.
    reference   (i, j, k) lesion mask; None where there is none, and its row is left out
    prediction  (i, j, k) lesion mask
    spacing_mm  along i, j and k
    brain       (i, j, k) mask that sets the grey window and the crop; None: voxels that are not 0
    lesions     what the masks contain, as text

    Radiological view (patient's right on the left), said on the picture. GeometryError when the
    arrays differ in shape or a spacing is not above 0.
    """
    spacing = _checked_spacing(
        images.values(), (reference, prediction, brain), spacing_mm=spacing_mm
    )
    last = [*images.values()][-1]
    inside = np.isfinite(last) & (last != 0 if brain is None else brain)
    if not inside.any():
        inside = np.isfinite(last)
    marked = prediction if reference is None else prediction | reference
    picture = _Picture(
        images=images,
        lesions=lesions,
        spacing_mm=spacing,
        window=grey_window(np.stack([image[inside] for image in images.values()])),
        box_mm=_box_mm(inside | marked, spacing),
        slices=lesion_slices(marked, inside, n=N_SLICES),
        k_lowest=int(np.argmax(inside.any(axis=(0, 1)))),
    )
    return _draw(picture, reference, prediction, title)


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """What every panel shares.

    images    label -> image; the last one is drawn under the masks
    lesions   what the masks contain, as text
    box_mm    left, right, back, front in mm from the first voxel
    slices    along k, rising
    k_lowest  the lowest slice with brain
    """

    images: Mapping[str, Image]
    lesions: str
    spacing_mm: tuple[float, float, float]
    window: tuple[float, float]
    box_mm: tuple[float, float, float, float]
    slices: tuple[int, ...]
    k_lowest: int

    @property
    def heights_mm(self) -> list[float]:
        """How far each slice lies above the lowest one inside the mask."""
        return [(k - self.k_lowest) * self.spacing_mm[2] for k in self.slices]

    @property
    def width_over_height(self) -> float:
        left, right, back, front = self.box_mm
        return (right - left) / (front - back)


def _checked_spacing(
    images: Collection[Image],
    masks: Sequence[BoolArray | None],
    *,
    spacing_mm: Image | tuple[float, float, float],
) -> tuple[float, float, float]:
    shapes = {m.shape for m in masks if m is not None} | {image.shape for image in images}
    if len(shapes) > 1 or any(len(shape) != 3 or 0 in shape for shape in shapes):
        raise GeometryError(
            f"a mosaic wants images and masks on one (i, j, k) grid, got {sorted(shapes)}. "
            "Resample the masks onto the image."
        )
    di, dj, dk = (float(step) for step in spacing_mm)
    if not all(0 < step < math.inf for step in (di, dj, dk)):
        raise GeometryError(f"a mosaic wants three spacings above 0 mm, got {(di, dj, dk)}")
    return di, dj, dk


def grey_window(values: Image) -> tuple[float, float]:
    """Black and white of the picture, from the values inside the brain."""
    if values.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(values, WINDOW_PERCENTILES)
    return float(low), float(high) if high > low else float(low) + 1.0


def _box_mm(
    inside: BoolArray, spacing_mm: tuple[float, float, float]
) -> tuple[float, float, float, float]:
    """Edges of what is inside, seen from above, with a margin; the whole slice when nothing is."""
    edges: list[float] = []
    for axis, others in ((0, (1, 2)), (1, (0, 2))):
        line = np.flatnonzero(inside.any(axis=others))
        first, last = (line[0], line[-1]) if line.size else (0, inside.shape[axis] - 1)
        step = spacing_mm[axis]
        edges += [(first - 0.5) * step - MARGIN_MM, (last + 0.5) * step + MARGIN_MM]
    return edges[0], edges[1], edges[2], edges[3]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things stand on the sheet; inches, from its lower left corner."""

    n_rows: int
    n_columns: int
    panel_in: tuple[float, float]

    left_in = 0.36
    top_in = 0.62
    bottom_in = 0.62
    gap_in = 0.05
    least_width_in = 6.5  # the captions need it

    @property
    def size_in(self) -> tuple[float, float]:
        width = self.left_in + self.n_columns * (self.panel_in[0] + self.gap_in)
        height = self.top_in + self.n_rows * (self.panel_in[1] + self.gap_in) + self.bottom_in
        return max(width, self.least_width_in), height

    def panel(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Left, bottom, width, height, as shares of the sheet."""
        width, height = self.panel_in
        left = self.left_in + column * (width + self.gap_in)
        bottom = self.size_in[1] - self.top_in - (row + 1) * (height + self.gap_in)
        return *self.share(left, bottom), *self.share(width, height)

    def share(self, x_in: float, y_in: float) -> tuple[float, float]:
        """A place or a size as shares of the sheet."""
        return x_in / self.size_in[0], y_in / self.size_in[1]


def _draw(
    picture: _Picture, reference: BoolArray | None, prediction: BoolArray, title: str
) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    named = "" if picture.lesions == "lesions" else f": {picture.lesions}"
    masks = [*([] if reference is None else [f"Reference{named}"]), f"Prediction{named}"]
    rows = [*picture.images, *masks]
    under_masks = [*picture.images.values()][-1]
    panel_in = (PANEL_HEIGHT_IN * picture.width_over_height, PANEL_HEIGHT_IN)
    layout = _Layout(len(rows), len(picture.slices), panel_in)
    figure = Figure(figsize=layout.size_in, dpi=RESOLUTION_DPI, facecolor=BACKGROUND)
    canvas = FigureCanvasAgg(figure)
    for row, label in enumerate(rows):
        for column, k in enumerate(picture.slices):
            is_prediction = row == len(rows) - 1
            slice_ = picture.images.get(label, under_masks)[:, :, k]
            place = layout.panel(row, column)
            brightness = DIMMED if is_prediction else 1.0
            axes = _panel(figure, picture, slice_, place=place, brightness=brightness)
            if label not in picture.images and not is_prediction and reference is not None:
                _outline(axes, reference[:, :, k], picture, REFERENCE_COLOUR)
            if is_prediction:
                shown = None if reference is None else reference[:, :, k]
                _paint(axes, shown, prediction[:, :, k], picture)
            if column == 0:
                _name_sides(axes)
    _name_rows_and_columns(figure, layout, rows, picture.heights_mm)
    _write_captions(figure, layout, title, has_reference=reference is not None)
    return small_png(canvas, 256)


def small_png(canvas: FigureCanvasAgg, n_colours: int) -> bytes:
    """The drawn figure in at most 256 colours: a third fewer bytes, and no visible difference."""
    from PIL import Image as Pictures

    canvas.draw()  # type: ignore[no-untyped-call] # matplotlib has not typed its canvases
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call] # the same
    drawn = Pictures.fromarray(pixels).convert("RGB")
    png = io.BytesIO()
    drawn.quantize(n_colours, dither=Pictures.Dither.NONE).save(png, format="png", optimize=True)
    return png.getvalue()


def _panel(
    figure: Figure,
    picture: _Picture,
    values: Image,
    *,
    place: tuple[float, float, float, float],
    brightness: float,
) -> Axes:
    """Axes in mm with a slice's (i, j) values: the patient's right on the left, anterior up."""
    axes = figure.add_axes(place)
    axes.set_axis_off()
    black, white = picture.window
    axes.imshow(
        values.T,
        cmap="gray",
        vmin=black,
        vmax=black + (white - black) / brightness,
        origin="lower",
        extent=_extent_mm(picture),
        interpolation="bilinear",
    )
    return _framed(axes, picture)


def _framed(axes: Axes, picture: _Picture) -> Axes:
    """`axes` cut to the brain; the left-right axis runs from high to low: radiological."""
    left, right, back, front = picture.box_mm
    axes.set_xlim(right, left)
    axes.set_ylim(back, front)
    axes.set_aspect("auto")  # the panel has the box's proportions in mm
    return axes


def _extent_mm(picture: _Picture) -> tuple[float, float, float, float]:
    n_i, n_j, _ = next(iter(picture.images.values())).shape
    di, dj, _ = picture.spacing_mm
    return -0.5 * di, (n_i - 0.5) * di, -0.5 * dj, (n_j - 0.5) * dj


def _paint(
    axes: Axes, reference: BoolArray | None, prediction: BoolArray, picture: _Picture
) -> None:
    """Fills each kind of voxel of one slice with its colour, and edges it."""
    from matplotlib.colors import to_rgba

    painted = np.zeros((*prediction.shape, 4))
    for mark, mask in _kinds(reference, prediction):
        painted[mask] = to_rgba(mark.colour, mark.opacity)
    axes.imshow(
        painted.transpose(1, 0, 2),
        origin="lower",
        extent=_extent_mm(picture),
        interpolation="nearest",
    )
    _framed(axes, picture)


def _kinds(reference: BoolArray | None, prediction: BoolArray) -> list[tuple[Mark, BoolArray]]:
    if reference is None:
        return [(PREDICTED, prediction)]
    return [
        (FOUND, reference & prediction),
        (EXTRA, prediction & ~reference),
        (MISSED, reference & ~prediction),
    ]


def _outline(axes: Axes, mask: BoolArray, picture: _Picture, colour: str) -> None:
    """The border of `mask` along the edges of its voxels, exactly."""
    from matplotlib.collections import LineCollection

    di, dj, _ = picture.spacing_mm
    padded = np.pad(mask, 1).astype(np.int8)
    segments: list[list[tuple[float, float]]] = []
    for i, j in np.argwhere(np.diff(padded, axis=0)).tolist():
        x, y = (i - 0.5) * di, (j - 1) * dj
        segments.append([(x, y - 0.5 * dj), (x, y + 0.5 * dj)])
    for i, j in np.argwhere(np.diff(padded, axis=1)).tolist():
        x, y = (i - 1) * di, (j - 0.5) * dj
        segments.append([(x - 0.5 * di, y), (x + 0.5 * di, y)])
    axes.add_collection(
        LineCollection(segments, colors=colour, linewidths=0.9, capstyle="projecting"),
        autolim=False,
    )


def _name_sides(axes: Axes) -> None:
    for x, side, alignment in ((0.02, "R", "left"), (0.98, "L", "right")):
        axes.text(
            x,
            0.02,
            side,
            transform=axes.transAxes,
            color=TEXT,
            fontsize=9,
            ha=alignment,
            va="bottom",
        )


def _name_rows_and_columns(
    figure: Figure, layout: _Layout, rows: list[str], heights_mm: list[float]
) -> None:
    for row, label in enumerate(rows):
        _, bottom, _, height = layout.panel(row, 0)
        x, _ = layout.share(0.5 * layout.left_in, 0)
        middle = bottom + 0.5 * height
        figure.text(
            x, middle, label, color=TEXT, fontsize=10, rotation=90, ha="center", va="center"
        )
    for column, height_mm in enumerate(heights_mm):
        left, bottom, width, height = layout.panel(0, column)
        above = bottom + height + layout.share(0, 0.07)[1]
        figure.text(
            left + 0.5 * width,
            above,
            f"{height_mm:.0f} mm",
            color=QUIET_TEXT,
            fontsize=9,
            ha="center",
        )


def _write_captions(figure: Figure, layout: _Layout, title: str, *, has_reference: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    left, top = layout.share(layout.left_in, layout.size_in[1] - 0.12)
    figure.text(left, top, title, color=TEXT, fontsize=12, va="top", parse_math=False)
    figure.text(
        *layout.share(layout.left_in, 0.12),
        "Radiological view: the patient's right (R) is on the left; anterior is up. "
        "Heights are above the lowest slice.",
        color=QUIET_TEXT,
        fontsize=8.5,
        va="bottom",
    )
    marks = [FOUND, EXTRA, MISSED] if has_reference else [PREDICTED]
    handles: list[Any] = [Patch(facecolor=m.colour, label=m.label) for m in marks]
    if has_reference:
        handles.insert(0, Line2D([], [], color=REFERENCE_COLOUR, lw=1.5, label="reference"))
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=layout.share(layout.left_in, 0.3),
        borderaxespad=0,
        borderpad=0,
        ncols=len(handles),
        frameon=False,
        labelcolor=TEXT,
        fontsize=9,
        handlelength=1.4,
        columnspacing=1.8,
    )
