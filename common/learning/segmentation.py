"""A prepared case through a network to a lesion mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

from common.imaging.prepared import PreparedCase
from common.learning.inference import lesion_probability
from common.learning.model import available_device
from common.recipe import Recipe


def segment(network: nn.Module, case: PreparedCase, recipe: Recipe) -> npt.NDArray[np.float32]:
    """Each voxel's probability of lesion on the case's crop, (i, j, k); 0 outside the brain."""
    probability = lesion_probability(
        network,
        case.image,
        patch_shape=recipe.sampling.patch_shape,
        overlap=recipe.inference.overlap,
        device=available_device(recipe),
    )
    return np.where(case.brain, probability, np.float32(0))
