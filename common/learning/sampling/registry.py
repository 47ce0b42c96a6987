"""Every sampler by its name in a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from common.learning.sampling.batch import Batch
from common.learning.sampling.centreline_patches import CentrelinePatches
from common.learning.sampling.grid_patches import GridPatches
from common.learning.sampling.labelled_case import FlatVoxels, LabelledCase
from common.learning.sampling.lesion_voxels import LesionVoxels
from common.learning.sampling.patches import Patches
from common.recipe.recipe import Recipe


class Sampler(Protocol):
    """Draws what one training step sees."""

    def draw_batch(self, n_patches: int, random: np.random.Generator) -> Batch:
        """So many patches."""
        ...


Build = Callable[[Sequence[LabelledCase], Recipe, Sequence[FlatVoxels]], Sampler]


def _of_patches(kind: type[GridPatches] | type[CentrelinePatches]) -> Build:
    """The samplers of whole patches that lie at places known beforehand."""

    def build(
        cases: Sequence[LabelledCase], recipe: Recipe, negatives: Sequence[FlatVoxels]
    ) -> Sampler:
        settings = recipe.sampling
        return kind(
            cases,
            patch_shape=settings.patch_shape,
            lesion_share=settings.lesion_share,
            n_outputs=recipe.task.n_outputs,
            augment=settings.augment,
        )

    return build


def _patches(
    cases: Sequence[LabelledCase], recipe: Recipe, negatives: Sequence[FlatVoxels]
) -> Sampler:
    settings = recipe.sampling
    return Patches(
        cases,
        patch_shape=settings.patch_shape,
        lesion_share=settings.lesion_share,
        n_outputs=recipe.task.n_outputs,
        augment=settings.augment,
        negatives=negatives,
        hard_negative_share=settings.hard_negative_share,
    )


def _voxels(
    cases: Sequence[LabelledCase], recipe: Recipe, negatives: Sequence[FlatVoxels]
) -> Sampler:
    return LesionVoxels(
        cases,
        negatives=negatives,
        lesion_share=recipe.sampling.lesion_share,
        half_turn="half-turn" in recipe.sampling.augment,
    )


SAMPLERS: Mapping[str, Build] = {
    "patches": _patches,
    "grid": _of_patches(GridPatches),
    "centreline": _of_patches(CentrelinePatches),
    "voxels": _voxels,
}
"""Cases, the recipe, and for `voxels` and `patches` the negative ones of each case."""


def build_sampler(
    cases: Sequence[LabelledCase], recipe: Recipe, *, negatives: Sequence[FlatVoxels] = ()
) -> Sampler:
    """The recipe's sampler over a site's training cases.

    negatives   for `voxels`, and with `hard_negative_share` for `patches`: flat positions, one
                array a case, of voxels that are not lesion
    SiteDataError where no case has a lesion.
    """
    return SAMPLERS[recipe.sampling.name](cases, recipe, negatives)
