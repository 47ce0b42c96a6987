"""Voxels without lesion that a network learns from because it, or another, is wrong there."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from torch import nn

from common.imaging.dataset.prepared import PreparedCase
from common.learning.cascade_segmentation import candidates
from common.learning.exact_patches import probabilities_at
from common.learning.networks.cascade import PatchCNN
from common.learning.sampling.labelled_case import FlatVoxels, LabelledCase
from common.learning.segmentation import found_lesions, segment
from common.recipe.network import CascadeSettings
from common.recipe.recipe import Recipe


def random_negatives(case: LabelledCase, *, above: float) -> FlatVoxels:
    """Flat positions of the brain's voxels without lesion whose FLAIR is brighter than `above`.

    above   in standard deviations over the brain (z)

    The first network's negatives, which the sampler then draws at random. None without a reference.
    Source   Valverde et al. 2017: FLAIR z > 0.5.
    """
    if case.lesions is None:
        return np.empty(0, np.intp)
    return np.flatnonzero(
        candidates(case.image, case.brain, above=above) & ~np.asarray(case.lesions)
    )


def hard_negatives(
    first: PatchCNN, case: LabelledCase, settings: CascadeSettings, *, device: str = "cpu"
) -> FlatVoxels:
    """Flat positions of the voxels without lesion that the first network takes for lesion.

    first   probabilities above `settings.hard_negatives_above` count, at candidates alone

    Where it makes no such mistake: the voxels brighter than `settings.fallback_above`; and where
    there are none of these either, every candidate without lesion (chosen). None without a
    reference.
    Source   Valverde et al. 2017: p > 0.5, else FLAIR z > 2.
    """
    negatives = random_negatives(case, above=settings.candidates_above)
    voxels = np.stack(np.unravel_index(negatives, case.brain.shape), axis=1)
    probability = probabilities_at(first, case.image, voxels, device=device)
    mistaken = negatives[probability > settings.hard_negatives_above]
    if mistaken.size:
        return mistaken
    bright = random_negatives(case, above=settings.fallback_above)
    return bright if bright.size else negatives


def false_lesions(network: nn.Module, case: PreparedCase, recipe: Recipe) -> FlatVoxels:
    """Flat positions of the lesions that the network finds and that share no voxel with a true one.

    case   with a reference

    At the recipe's threshold, without its flips: they take a multiple of the time. A lesion is
    26-connected. What is found beside a true lesion, as part of it, is left out (chosen): patches
    about lesions show that anyway.
    """
    assert case.lesions is not None, "training cases have a reference"
    plain = recipe.inference.model_copy(update={"flips": "none"})
    recipe = recipe.model_copy(update={"inference": plain})
    found = found_lesions(segment(network, case, recipe), recipe.inference.threshold, recipe)
    labels, n_lesions = ndimage.label(found, np.ones((3, 3, 3)))
    is_false = np.arange(1 + n_lesions) > 0
    is_false[labels[np.asarray(case.lesions)]] = False
    return np.flatnonzero(is_false[labels])
