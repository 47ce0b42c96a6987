"""A standardized image through a cascade."""

from __future__ import annotations

import numpy as np

from common.arrays import BoolArray, Float32Array
from common.learning.exact_patches import probabilities_at
from common.learning.networks.cascade import Cascade, Stage
from common.recipe.network import CascadeSettings


def cascade_probability(
    cascade: Cascade,
    image: Float32Array,
    brain: BoolArray,
    settings: CascadeSettings,
    *,
    stage: Stage,
    device: str = "cpu",
) -> Float32Array:
    """Each voxel's probability of lesion, (i, j, k); 0 where no network is applied.

    image   (C, i, j, k), standardized; channel 0 is FLAIR
    brain   (i, j, k)
    stage   first: the first network at every candidate. second: the second network where the first
            gives more than `settings.second_above`, 0 elsewhere

    A network that diverged gives NaN.
    Source  Valverde et al. 2017: the second network rejects what the first takes for a lesion.
    """
    probability = np.zeros(brain.shape, np.float32)
    voxels = np.argwhere(candidates(image, brain, above=settings.candidates_above))
    found = probabilities_at(cascade.first, image, voxels, device=device)
    if stage == "second":
        likely = found > settings.second_above
        found[found <= settings.second_above] = 0  # NaN stays, so that the caller sees it
        found[likely] = probabilities_at(cascade.second, image, voxels[likely], device=device)
    probability[tuple(voxels.T)] = found
    return probability


def candidates(image: Float32Array, brain: BoolArray, *, above: float) -> BoolArray:
    """The brain's voxels whose FLAIR, the image's channel 0, is brighter than `above`, (i, j, k).

    above   in standard deviations over the brain (z)
    """
    bright: BoolArray = np.asarray(brain) & (np.asarray(image[0]) > above)
    return bright
