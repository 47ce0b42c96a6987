"""A prepared case and a prediction of it, drawn upright."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.orientations import apply_orientation, io_orientation

from common.figures.mosaic import lesion_mosaic
from common.imaging.prepared import PreparedCase

Array = npt.NDArray[Any]


def case_picture(case: PreparedCase, prediction: npt.NDArray[np.bool_], *, title: str) -> bytes:
    """A PNG of the case's first modality with its reference and the prediction outlined.

    prediction   (i, j, k) on the case's crop
    The arrays are turned to the orientation closest to RAS; nothing is resampled.
    """
    orientation: Array = io_orientation(case.affine)  # type: ignore[no-untyped-call] # untyped in nibabel

    def upright(array: Array) -> Array:
        turned: Array = apply_orientation(np.asarray(array), orientation)  # type: ignore[no-untyped-call] # as above
        return turned

    axes = np.argsort(orientation[:, 0])
    spacing_mm = case.on_file_grid(case.brain).spacing_mm[axes]
    brain = upright(case.brain)
    flair = upright(case.image[0])
    return lesion_mosaic(
        np.where(brain, flair, flair[brain].min()),  # standardized, 0 would be grey
        None if case.lesions is None else upright(case.lesions),
        upright(prediction),
        spacing_mm=spacing_mm,
        title=title,
        brain=brain,
    )
