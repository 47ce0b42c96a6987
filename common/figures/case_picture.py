"""A prepared case and a prediction of it, drawn upright."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.orientations import apply_orientation, io_orientation

from common.arrays import BoolArray
from common.figures.mosaic import lesion_mosaic
from common.imaging.dataset.prepared import PreparedCase
from common.recipe.task import Task
from common.recipe.task_labels import lesions_name, picture_labels

Array = npt.NDArray[Any]


def case_picture(case: PreparedCase, prediction: BoolArray, *, title: str, task: Task) -> bytes:
    """A PNG of the case's first modality, of each date, with its reference and the prediction.

    prediction   (i, j, k) on the case's crop
    task         what the channels of the image are, and what was looked for
    The arrays are turned to the orientation closest to RAS; nothing is resampled.
    """
    orientation: Array = io_orientation(case.affine)  # type: ignore[no-untyped-call] # untyped in nibabel

    def upright(array: Array) -> Array:
        turned: Array = apply_orientation(np.asarray(array), orientation)  # type: ignore[no-untyped-call] # as above
        return turned

    axes = np.argsort(orientation[:, 0])
    spacing_mm = case.on_file_grid(case.brain).spacing_mm[axes]
    brain = upright(case.brain)
    images: dict[str, Array] = {}
    for label, channel in picture_labels(task).items():
        image = upright(case.image[channel])
        images[label] = np.where(brain, image, image[brain].min())  # standardized, 0 is grey
    return lesion_mosaic(
        images,
        None if case.lesions is None else upright(case.lesions),
        upright(prediction),
        spacing_mm=spacing_mm,
        title=title,
        brain=brain,
        lesions=lesions_name(task),
    )
