"""One case as it is on the disk: whole slices of every modality, with the reference on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from common.arrays import BoolArray, Float32Array
from common.figures.lesion_slices import lesion_slices
from common.figures.mosaic import BACKGROUND, REFERENCE_COLOUR, TEXT, small_png
from common.imaging.grid import nearest_onto
from common.imaging.orientation import upright
from common.imaging.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_AXIAL = 5
PANEL_IN = 1.55
RESOLUTION_DPI = 110
HUGE = 1e30
GREY_PERCENTILES = (1.0, 99.5)
"""Black and white of a modality: of its values above the smallest (chosen)."""

Slice = tuple[NDArray[Any], NDArray[Any] | None, tuple[float, float]]


def intake_mosaic(images: Mapping[str, Volume], lesions: Volume | None) -> bytes:
    """A PNG: a row for each modality with five axial slices, a coronal and a sagittal one.

    images    modality -> image on a grid of its own, at least one
    lesions   the reference on any grid, outlined where it lies by its affine; or None
    Nothing is cropped or resampled, so that structures at the border of the image are visible.
    Radiological view: the patient's right is on the left.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size_in = ((N_AXIAL + 2) * PANEL_IN, len(images) * (PANEL_IN + 0.2))
    figure = Figure(figsize=size_in, dpi=RESOLUTION_DPI, facecolor=BACKGROUND)
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(len(images), N_AXIAL + 2, squeeze=False)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1 - 0.2 / size_in[1], wspace=0.02)
    for row, (modality, image) in zip(panels, images.items(), strict=True):
        turned = _moderate(upright(image))
        mask = None if lesions is None else nearest_onto(turned, lesions).data > 0
        window = _window(turned.data)
        for axes, piece in zip(row, _slices(turned, mask), strict=True):
            _draw(axes, piece, window)
        row[0].set_title(modality, color=TEXT, fontsize=9, loc="left", pad=2)
    return small_png(canvas, 128)


def _moderate(image: Volume) -> Volume:
    """The image, divided by its largest value where matplotlib could not add such values up."""
    largest = max(float(image.data.max()), -float(image.data.min()))
    return image if largest < HUGE else Volume(image.data / np.float32(largest), image.affine)


def _slices(image: Volume, mask: BoolArray | None) -> list[Slice]:
    """Axial ones where the lesions are, then the coronal and the sagittal one in the middle."""
    di, dj, dk = image.spacing_mm.tolist()
    shown = image.data > float(image.data.min())
    shown = shown if shown.any() else np.ones_like(shown)
    drawn = np.zeros_like(shown) if mask is None else mask
    where = np.argwhere(shown)
    middle_i, middle_j = (int(np.median(where[:, axis])) for axis in (0, 1))
    axial = list(lesion_slices(drawn, shown, n=N_AXIAL))
    axial += axial[-1:] * (N_AXIAL - len(axial))
    places = [(2, k, (di, dj)) for k in axial]
    places += [(1, middle_j, (di, dk)), (0, middle_i, (dj, dk))]
    pieces: list[Slice] = []
    for axis, index, spacing in places:
        outline = None if mask is None else np.asarray(mask.take(index, axis=axis))
        pieces.append((np.asarray(image.data.take(index, axis=axis)), outline, spacing))
    return pieces


def _draw(axes: Axes, piece: Slice, window: tuple[float, float]) -> None:
    values, outline, (across, up) = piece
    width, height = values.shape[0] * across, values.shape[1] * up
    extent = (0.0, width, 0.0, height)
    axes.set_axis_off()
    axes.imshow(
        values.T, cmap="gray", vmin=window[0], vmax=window[1], origin="lower", extent=extent
    )
    if outline is not None and outline.any() and min(outline.shape) > 1:
        axes.contour(
            outline.T, levels=[0.5], colors=REFERENCE_COLOUR, linewidths=0.6, extent=extent
        )
    axes.set_xlim(width, 0)  # right of the patient, or the front, on the left
    axes.set_ylim(0, height)


def _window(values: Float32Array) -> tuple[float, float]:
    above = values[values > values.min()]
    if not above.size:
        return 0.0, 1.0
    low, high = np.percentile(above, GREY_PERCENTILES)
    return float(min(low, 0)), float(high) if high > low else float(low) + 1.0
