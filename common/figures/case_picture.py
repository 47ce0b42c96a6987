"""A prepared case and a prediction of it, as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from common.arrays import BoolArray
from common.figures.mosaic import lesion_mosaic
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.volume import Volume
from common.recipe.task import Task
from common.recipe.task_labels import lesions_name, picture_labels

Array = npt.NDArray[Any]


def case_picture(case: PreparedCase, prediction: BoolArray, *, title: str, task: Task) -> bytes:
    """A PNG of the case's first modality, of each date, with its reference and the prediction.

    prediction   (i, j, k) on the case's crop
    task         what the channels of the image are, and what was looked for
    """
    brain = np.asarray(case.brain)
    images: dict[str, Array] = {}
    for label, channel in picture_labels(task).items():
        image = case.image[channel]
        images[label] = np.where(brain, image, image[brain].min())  # standardized, 0 is grey
    return lesion_mosaic(
        images,
        case.lesions,
        prediction,
        spacing_mm=Volume(brain, case.affine).spacing_mm,
        title=title,
        brain=brain,
        lesions=lesions_name(task),
    )
