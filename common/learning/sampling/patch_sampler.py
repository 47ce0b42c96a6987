"""What the samplers of whole patches share; they differ in where a patch may lie."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from common.arrays import BoolArray, Float32Array
from common.learning.augmentation.registry import augmented
from common.learning.sampling.cutting import Shape, cut, cut_each
from common.recipe.recipe import Augmentation


class PatchSampler(ABC):
    """Draws patches: a share of them with a lesion voxel, the others anywhere.

    patch_shape    voxels along (i, j, k)
    lesion_share   1: every patch holds a lesion voxel, and cases without one are left out;
                   below: such cases are drawn as often as the others
    augment        applied to each patch, in this order
    """

    def __init__(
        self, *, patch_shape: Shape, lesion_share: float, augment: Sequence[Augmentation]
    ) -> None:
        self._patch_shape = patch_shape
        self._lesion_share = lesion_share
        self._augment = augment

    @abstractmethod
    def draw(self, random: np.random.Generator) -> tuple[Float32Array, BoolArray]:
        """One patch: image (C, *patch_shape) and references (R, *patch_shape), copied."""

    def draw_batch(
        self, n_patches: int, random: np.random.Generator
    ) -> tuple[Float32Array, BoolArray]:
        """Images (B, C, *patch_shape) and references (B, R, *patch_shape)."""
        images, references = zip(*(self.draw(random) for _ in range(n_patches)), strict=True)
        return np.stack(images), np.stack(references)

    def _lies_anywhere(self, *, has_lesion: bool, random: np.random.Generator) -> bool:
        """Whether the next patch of a case need not hold a lesion voxel."""
        if not has_lesion:
            return True
        return self._lesion_share < 1 and bool(random.random() >= self._lesion_share)

    def _patch_at(
        self,
        start: Sequence[int],
        image: Float32Array,
        references: Sequence[BoolArray],
        random: np.random.Generator,
    ) -> tuple[Float32Array, BoolArray]:
        patch = cut(image, start, self._patch_shape), cut_each(references, start, self._patch_shape)
        return augmented(*patch, self._augment, random)
