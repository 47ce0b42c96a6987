"""Does the brain fit into the image? A heuristic on what reaches the image's border."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common.arrays import BoolArray
from common.imaging.brain_mask import looks_stripped
from common.imaging.intake.findings import Finding
from common.imaging.intake.thumbnail import averaged, head_mask
from common.imaging.intake.usable_case import OpenCase
from common.imaging.orientation import orientation_of
from common.imaging.volume import Volume, same_grid

SMALLEST_MM = 100.0
"""An image that covers less than this along some axis shows no whole brain; chosen."""

STEP_MM = 2.0

SIDES = {
    "L": "the left",
    "R": "the right",
    "A": "the front",
    "P": "the back",
    "S": "the top",
    "I": "the bottom",
}
OPPOSITE = dict(zip("LRAPSI", "RLPAIS", strict=True))

BRAIN_CM2 = dict.fromkeys("LRAPS", 2.0) | {"I": 15.0}
"""How much brain may lie in the outermost voxels of a side: at the bottom, the brain stem. Chosen.
"""

HEAD_CM2 = dict.fromkeys("LRAPS", 70.0)
"""How much head may: at the top, 70 cm2 are cut off some 14 mm below the vertex, where brain
begins. Chosen: three top slices of 80 to 102 cm2 that were looked at show brain, one of 68 cm2 does
not. At the bottom the neck continues."""


def brain_fits_the_image(case: OpenCase) -> Iterator[Finding]:
    """A warning when an image is too short for a brain, or brain or head reach its border.

    Not asked of a case with a spinal cord's mask or centreline, which is no brain.
    """
    if case.files.cord_mask is not None or case.files.centreline is not None:
        return
    for modality, image in case.images.items():
        size_mm = np.asarray(image.data.shape) * image.spacing_mm
        if float(size_mm.min()) < SMALLEST_MM:
            size = " x ".join(f"{mm:.0f}" for mm in size_mm)
            yield case.finding(
                "warning",
                "slab",
                text=f"{modality} covers {size} mm, want {SMALLEST_MM:g} mm or more along each "
                "axis for a whole brain",
                fix="Use a series that covers the whole brain.",
            )
            continue
        what, cut = _cut(case, image)
        if cut:
            sides = ", ".join(f"{SIDES[side]} ({area:.0f} cm2)" for side, area in cut.items())
            yield case.finding(
                "warning",
                "field-of-view",
                text=f"{modality}: the {what} reaches the border of the image at {sides}; part of "
                "the brain may lie outside (a heuristic)",
                fix="Look at the image; where brain is cut off, use another series.",
            )


def _cut(case: OpenCase, image: Volume) -> tuple[str, dict[str, float]]:
    """What was looked at, and side -> area in the outermost voxels, where it is too large."""
    if case.brain is not None and same_grid(case.brain, image):
        what, shown = "brain mask", Volume(case.brain.data > 0, image.affine)
    elif looks_stripped(image):
        what, shown = "brain", Volume(image.data != 0, image.affine)
    else:
        small = averaged(image, STEP_MM)
        what, shown = "head", Volume(head_mask(small), small.affine)
    limits = HEAD_CM2 if what == "head" else BRAIN_CM2
    areas = border_areas_cm2(shown)
    return what, {side: area for side, area in areas.items() if area > limits.get(side, np.inf)}


def border_areas_cm2(mask: Volume) -> dict[str, float]:
    """Side, such as "S", -> area of the mask in the outermost voxels there, cm2."""
    areas = {}
    for axis, towards in enumerate(orientation_of(mask)):
        i, j = (other for other in range(3) if other != axis)
        voxel_cm2 = float(np.linalg.norm(np.cross(mask.affine[:3, i], mask.affine[:3, j]))) / 100
        ends: tuple[BoolArray, ...] = (
            mask.data.take(0, axis=axis),
            mask.data.take(-1, axis=axis),
        )
        for side, end in zip((OPPOSITE[towards], towards), ends, strict=True):
            areas[side] = int(np.count_nonzero(end)) * voxel_cm2
    return areas
