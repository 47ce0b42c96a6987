"""A prepared case through a network to a lesion mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

from common.errors import ModelFileError
from common.imaging.prepared import PreparedCase
from common.learning.inference import lesion_probability
from common.learning.model import available_device
from common.recipe import Recipe


def segment(network: nn.Module, case: PreparedCase, recipe: Recipe) -> npt.NDArray[np.float32]:
    """Each voxel's probability of lesion on the case's crop, (i, j, k); 0 outside the brain.

    ModelFileError where the network gives anything but finite numbers, as after a training that
    diverged.
    """
    probability = lesion_probability(
        network,
        case.image,
        patch_shape=recipe.sampling.patch_shape,
        overlap=recipe.inference.overlap,
        device=available_device(recipe),
    )
    if not np.isfinite(probability).all():
        raise ModelFileError(
            f"{case.name}: the network gives NaN. Its training diverged: use an earlier round, or "
            "train again with a lower optimizer.learning_rate.",
            code="not-finite",
        )
    # the mean over overlapping patches may exceed 1 in its last digit
    return np.where(case.brain, np.clip(probability, 0, 1), np.float32(0))
