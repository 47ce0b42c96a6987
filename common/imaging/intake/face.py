"""Does an image show a face? A heuristic on the skin in front of and below the brain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from common.imaging.brain_mask import looks_stripped
from common.imaging.intake.findings import Finding
from common.imaging.intake.thumbnail import head_mask, is_head_sized, thumbnail
from common.imaging.intake.usable_case import OpenCase
from common.imaging.volume import Volume

Face = Literal["shown", "removed", "not in view"]

STEP_MM = 2.0
FOREHEAD_MM = (40.0, 80.0)
FACE_MM = (110.0, 126.0)
"""Where forehead and nose lie, below the highest voxel of the head; chosen."""

MIDDLE_MM = 14.0
"""Half the width of the strip that is looked at, about the middle of the head."""

RECEDES_MM = 20.0
"""A face that lies farther behind the forehead than this has been removed. Chosen: in 4 images
at hand the face lies 0 to 14 mm before the forehead, in 13 without one the rest lies 39 to 53 mm
behind."""


def faces_are_reported(case: OpenCase) -> Iterator[Finding]:
    """A note on the images that show a face, and one on those from which it was removed."""
    faces = {name: face_of(image) for name, image in case.images.items()}
    shown = [name for name, face in faces.items() if face == "shown"]
    removed = [name for name, face in faces.items() if face == "removed"]
    if shown:
        yield case.finding(
            "note",
            "face-shown",
            text=f"{', '.join(shown)}: what looks like a face, from which somebody could be "
            "recognized (a heuristic on the skin before the brain)",
            fix="Nothing to do while the image stays here; remove the face before you share it.",
        )
    if removed:
        yield case.finding(
            "note",
            "face-removed",
            text=f"{', '.join(removed)}: the face seems to be removed (a heuristic)",
            fix="Nothing to do.",
        )


def face_of(image: Volume) -> Face:
    """Whether the skin at the height of the nose lies near the forehead's, or far behind it.

    A stripped image, and one that ends above the nose, has no face in view.
    """
    if looks_stripped(image) or not is_head_sized(image):
        return "not in view"
    small = thumbnail(image, step_mm=STEP_MM)
    head = head_mask(small)
    if not head.any():
        return "not in view"
    heights = np.flatnonzero(head.any(axis=(0, 1)))
    first = int(heights[-1]) - round(FOREHEAD_MM[0] / STEP_MM)
    if first < 0:  # less than the height of a forehead is in the image
        return "not in view"
    upper = np.argwhere(head[:, :, first:])
    middle, half = int(np.median(upper[:, 0])), round(MIDDLE_MM / STEP_MM)
    strip = np.any(head[max(0, middle - half) : middle + half + 1], axis=0)
    front = [
        float(np.flatnonzero(strip[:, k])[-1] * STEP_MM) if strip[:, k].any() else np.nan
        for k in range(int(heights[-1]), -1, -1)
    ]
    forehead = _between(front, FOREHEAD_MM)
    face = _between(front, FACE_MM)
    n_wanted = round((FACE_MM[1] - FACE_MM[0]) / STEP_MM)
    if not forehead or len(front) * STEP_MM < FACE_MM[1] or len(face) < n_wanted / 2:
        return "not in view"
    recedes_mm = max(forehead) - float(np.median(face))
    return "removed" if recedes_mm > RECEDES_MM else "shown"


def _between(front: list[float], depths_mm: tuple[float, float]) -> list[float]:
    """The known values between two depths below the highest voxel."""
    first, last = (round(mm / STEP_MM) for mm in depths_mm)
    return [mm for mm in front[first:last] if not np.isnan(mm)]
