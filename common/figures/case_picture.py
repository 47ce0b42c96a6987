"""A prepared case and a prediction of it, drawn upright."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import numpy.typing as npt

from common.figures.mosaic import lesion_mosaic
from common.imaging.prepared import PreparedCase

Array = npt.NDArray[np.generic]


def case_picture(case: PreparedCase, prediction: npt.NDArray[np.bool_], *, title: str) -> bytes:
    """A PNG of the case's first modality with its reference and the prediction outlined.

    prediction   (i, j, k) on the case's crop
    The arrays are turned to the orientation closest to RAS; nothing is resampled.
    """
    orientation = nib.io_orientation(case.affine)

    def upright(array: Array) -> Array:
        turned: Array = nib.apply_orientation(np.asarray(array), orientation)
        return turned

    axes = np.argsort(orientation[:, 0])
    spacing_mm = case.on_file_grid(case.brain).spacing_mm[axes]
    return lesion_mosaic(
        upright(case.image[0]),
        None if case.lesions is None else upright(case.lesions),
        upright(prediction),
        spacing_mm=spacing_mm,
        title=title,
        brain=upright(case.brain),
    )
