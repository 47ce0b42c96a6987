"""Where the images of a case lie, without the last digits of their headers.

A header keeps the place of one corner voxel as a float32: which corner depends on the storage
order, so the same scan stored in two orders lies up to 1e-5 mm apart. A registration makes more of
that: it ends at another last step, and a few voxels change. So the chain works on places that are
rounded alike, and its moves give the rounding back.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from common.arrays import FloatArray
from common.imaging.preprocessing.working_case import WorkingCase, WorkingImage
from common.imaging.volume import Volume, same_grid

STEP_MM = 1 / 128
"""Chosen: far above the rounding of a header, so that two storage orders fall on both sides of a
half step in less than one case in a hundred; a two-hundredth of a voxel. No place given in mm with
up to four digits behind the point lies that close to a half step."""


def settled(case: WorkingCase) -> WorkingCase:
    """The case with the first voxel of each image at a whole multiple of STEP_MM.

    What lies on one grid stays on one grid. The centreline goes with the reference.
    """
    grids: list[tuple[Volume, FloatArray]] = []

    def moved(image: WorkingImage) -> WorkingImage:
        alike = (affine for grid, affine in grids if same_grid(grid, image.volume))
        affine = next(alike, None)
        if affine is None:
            affine = image.volume.affine.copy()
            affine[:3, 3] = np.round(affine[:3, 3] / STEP_MM) * STEP_MM
            grids.append((image.volume, affine))
        return replace(image, volume=Volume(image.volume.data, affine))

    def maybe(image: WorkingImage | None) -> WorkingImage | None:
        return None if image is None else moved(image)

    images = {name: moved(image) for name, image in case.images.items()}
    shift = rounding(case.images[case.reference], images[case.reference])
    return replace(
        case,
        images=images,
        brain=maybe(case.brain),
        lesions=maybe(case.lesions),
        centreline=None if case.centreline is None else case.centreline + shift[:3, 3],
        cord=maybe(case.cord),
        raters={rater: moved(mask) for rater, mask in case.raters.items()},
    )


def rounding(image: WorkingImage, settled_image: WorkingImage) -> FloatArray:
    """(4, 4): from the world of the image's header to the one that it was settled in."""
    shift = np.eye(4)
    shift[:3, 3] = settled_image.volume.affine[:3, 3] - image.volume.affine[:3, 3]
    return shift
