"""Has one modality been stored mirrored? A heuristic that compares it with another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import fft, ndimage

from common.arrays import FloatArray
from common.imaging.intake.findings import Finding
from common.imaging.intake.thumbnail import is_head_sized, thumbnail
from common.imaging.intake.usable_case import OpenCase
from common.imaging.orientation import orientation_of
from common.imaging.volume import Volume

STEP_MM = 3.0
REACH_MM = 24.0
"""How far one modality may be shifted against the other."""

MARGIN = 0.005
"""How much better the mirrored image has to fit. Chosen: over the 24 pairs of modalities at hand,
none of them mirrored, the image as it is fits better by 0.007 to 0.18."""


def no_modality_is_mirrored(case: OpenCase) -> Iterator[Finding]:
    """A warning for a modality that fits the first better with left and right exchanged."""
    if case.first is None or not is_head_sized(case.first[1]):
        return
    first, reference = case.first
    edges = _edges(reference, about=reference)
    for modality, image in case.images.items():
        if image is reference or not is_head_sized(image):
            continue
        as_it_is = _fit(edges, _edges(image, about=reference))
        mirrored = _fit(edges, _edges(_mirrored(image), about=reference))
        if mirrored > as_it_is + MARGIN:
            yield case.finding(
                "warning",
                "left-right",
                text=f"{modality} fits {first} better when left and right are exchanged "
                f"(correlation of edges {mirrored:.3f} against {as_it_is:.3f}): one of the two "
                "may be stored mirrored (a heuristic)",
                fix="Compare both with the scanner's pictures; convert again with dcm2niix.",
            )


def _mirrored(image: Volume) -> Volume:
    """The voxels reversed along the axis closest to left-right, as a wrong header shows them."""
    codes = orientation_of(image)
    axis = next(axis for axis, code in enumerate(codes) if code in "LR")
    return Volume(np.flip(image.data, axis), image.affine)


def _edges(image: Volume, *, about: Volume) -> FloatArray:
    """Steepness of the image on a coarse grid, its largest 2 % cut off: alike in all contrasts."""
    small = thumbnail(image, step_mm=STEP_MM, about=about).data.astype(np.float64)
    steep: FloatArray = ndimage.gaussian_gradient_magnitude(small, 1.0)
    if not steep.any():
        return steep
    return np.minimum(steep, np.percentile(steep[steep > 0], 98))


def _fit(a: FloatArray, b: FloatArray) -> float:
    """Best correlation of two arrays of one shape over all shifts up to REACH_MM; 0 if flat.

    The peak is interpolated: mirroring moves an image by parts of a voxel.
    """
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    if norm == 0:
        return 0.0
    reach = round(REACH_MM / STEP_MM)
    padded = [fft.next_fast_len(n + 2 * reach) for n in a.shape]
    product = fft.irfftn(fft.rfftn(a, padded) * np.conj(fft.rfftn(b, padded)), padded)
    shifts = np.arange(-reach, reach + 1)
    near = np.asarray(product)[np.ix_(shifts, shifts, shifts)]
    inner = near[2:-2, 2:-2, 2:-2]
    peak = np.unravel_index(int(inner.argmax()), inner.shape)
    around = near[tuple(slice(int(k), int(k) + 5) for k in peak)]
    fine: FloatArray = ndimage.zoom(around, 4, order=3, mode="nearest")
    return float(fine.max()) / norm
