"""What was found in a prepared case, carried to the grid on which its lesions were drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from common.arrays import Float32Array
from common.errors import SiteDataError
from common.imaging.dataset.drawn_reference import DrawnReference, read_drawn_reference
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.grid import Grid
from common.imaging.preprocessing.back_to_scanner import back_to_scanner

ScoredGrid = Literal["scanner", "prepared"]
"""Where a case is scored: the grid on which its lesions were drawn, or that of its images."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundInCase:
    """A case with a reference, and the probability of lesion in it, on one grid.

    probability   (i, j, k) float32 on the case's crop, from 0 to 1
    drawn         the case's reference where it was drawn, if that is the grid; else None
    """

    case: PreparedCase
    probability: Float32Array
    drawn: DrawnReference | None = None

    @property
    def grid(self) -> ScoredGrid:
        """Which grid it is."""
        return "prepared" if self.drawn is None else "scanner"


def where_drawn(found: FoundInCase) -> FoundInCase:
    """The same on the scanner's own grid; as it is where the case has no reference there.

    The probability and the images are interpolated linearly, as in `predict --raw`; the brain goes
    to the nearest voxel; the reference is the one that was drawn. SiteDataError where that cannot
    be used, or where no voxel of the brain comes to lie on its grid.
    """
    case = found.case
    if case.drawn_reference is None:
        return found
    drawn = read_drawn_reference(*case.drawn_reference)
    grid, lesions = Grid.of(drawn.lesions), drawn.lesions.data

    def back(values: Float32Array) -> Float32Array:
        carried = back_to_scanner(
            case.on_file_grid(values), drawn.to_common, grid, interpolation="linear"
        )
        return np.asarray(carried.data, dtype=np.float32)

    brain = back_to_scanner(
        case.on_file_grid(np.asarray(case.brain)), drawn.to_common, grid, interpolation="nearest"
    ).data
    if not brain.any():
        raise SiteDataError(
            f"{case.name}: want the brain on the grid of the reference, found no voxel of it "
            "there. Look at the headers of the images, and run lesionfed-site prepare again.",
            code="scanner-reference",
        )
    probability = np.clip(back(found.probability), 0, 1)  # the last digit may exceed 1
    shown = (brain | lesions | (probability > 0)).astype(np.uint8)
    box = ndimage.find_objects(shown, max_label=1)[0]
    own = PreparedCase(
        subject=case.subject,
        session=case.session,
        control=case.control,
        image=np.stack([back(channel)[box] for channel in np.asarray(case.image)]),
        brain=brain[box],
        lesions=lesions[box],
        crop_start=(box[0].start, box[1].start, box[2].start),
        grid_shape=grid.shape,
        affine=grid.affine,
        missing=case.missing,
    )
    return FoundInCase(own, probability[box], drawn)
