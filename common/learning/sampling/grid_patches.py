"""Patches on a fixed grid that hold a lesion."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from common.learning.augmentation.registry import augmented
from common.learning.sampling.cutting import Shape, cut, cut_each
from common.learning.sampling.labelled_case import LabelledCase
from common.learning.sampling.patches import Patch, PatchSampler, no_lesion_voxel
from common.recipe.sampling import Augmentation

OVERLAP = 0.5
"""Share of a patch that its neighbour along an axis holds too (Aslani et al. 2020)."""


class GridPatches(PatchSampler):
    """Draws from the grid's patches that hold a lesion voxel, each as likely.

    n_outputs   references that come with each patch
    The other settings are those of `PatchSampler`; lesion_share is 1.

    A case counts by the number of such patches in it, so by the extent of its lesions and not by
    their voxels: a voxel deep inside a large lesion adds nothing. Only the places of patches are
    kept; images and references may be memory-mapped.
    Source   Aslani et al. 2020: patches with 50 % overlap, in training those with at least one
             lesion voxel. That the grid begins at the corner of the cropped brain and that patches
             are drawn with replacement is chosen.
    """

    def __init__(
        self,
        cases: Sequence[LabelledCase],
        *,
        patch_shape: Shape,
        lesion_share: float = 1.0,
        n_outputs: int = 1,
        augment: Sequence[Augmentation] = (),
    ) -> None:
        super().__init__(patch_shape=patch_shape, lesion_share=lesion_share, augment=augment)
        self._cases = {
            number: (case.image, case.references(n_outputs))
            for number, case in enumerate(cases)
            if case.lesions is not None
        }
        self._places = [
            (number, start)
            for number, case in enumerate(cases)
            if case.lesions is not None and case.lesions.any()
            for start in grid_starts(case.lesions.shape, patch_shape)
            if cut(case.lesions[None], start, patch_shape).any()
        ]
        if not self._places:
            raise no_lesion_voxel(len(cases))

    def draw(self, random: np.random.Generator) -> Patch:
        """One patch, copied; zeros where it reaches beyond the volume."""
        number, start = self._places[random.integers(len(self._places))]
        image, references = self._cases[number]
        patch = cut(image, start, self._patch_shape), cut_each(references, start, self._patch_shape)
        return Patch(*augmented(*patch, self._augment, random), number)


def grid_starts(volume_shape: Sequence[int], patch_shape: Shape) -> list[tuple[int, ...]]:
    """The first voxel of each patch of the grid, so that every voxel is in one at least.

    Neighbours are half a patch apart; the last along an axis ends with the volume. Along an axis
    where the volume is not larger than the patch there is one, with the volume in its middle.
    """
    along = [
        _starts(n_volume, n_patch)
        for n_volume, n_patch in zip(volume_shape, patch_shape, strict=True)
    ]
    return list(itertools.product(*along))


def _starts(n_volume: int, n_patch: int) -> list[int]:
    last = n_volume - n_patch
    if last <= 0:
        return [last // 2]
    return [*range(0, last, max(1, int(n_patch * (1 - OVERLAP)))), last]
