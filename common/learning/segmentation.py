"""A prepared case through a network to a lesion mask."""

from __future__ import annotations

import numpy as np
from torch import nn

from common.arrays import BoolArray, Float32Array
from common.errors import ModelFileError
from common.imaging.dataset.prepared import PreparedCase
from common.learning.cascade_segmentation import cascade_probability
from common.learning.inference import lesion_probability
from common.learning.model import available_device
from common.learning.networks.cascade import Cascade
from common.metrics.small_lesions import without_small_lesions
from common.recipe.network import CascadeSettings
from common.recipe.recipe import Recipe


def segment(network: nn.Module, case: PreparedCase, recipe: Recipe) -> Float32Array:
    """Each voxel's probability of lesion on the case's crop, (i, j, k); 0 outside the brain.

    ModelFileError where the network gives anything but finite numbers, as after a training that
    diverged.
    """
    device = available_device(recipe)
    if isinstance(network, Cascade):
        settings = recipe.network
        assert isinstance(settings, CascadeSettings), "the network is the recipe's"
        probability = cascade_probability(
            network, case.image, case.brain, settings, stage=network.stage, device=device
        )
    else:
        probability = lesion_probability(
            network,
            case.image,
            patch_shape=recipe.sampling.patch_shape,
            overlap=recipe.inference.overlap,
            blend=recipe.inference.blend,
            device=device,
        )
    if not np.isfinite(probability).all():
        raise ModelFileError(
            f"{case.name}: the network gives NaN. Its training diverged: use an earlier round, or "
            "train again with a lower optimizer.learning_rate.",
            code="not-finite",
        )
    # the mean over overlapping patches may exceed 1 in its last digit
    return np.where(case.brain, np.clip(probability, 0, 1), np.float32(0))


def found_lesions(probability: Float32Array, threshold: float, recipe: Recipe) -> BoolArray:
    """Where the probability is above the threshold, without the lesions that are too small."""
    return without_small_lesions(probability > threshold, recipe.inference.min_lesion_voxels)
