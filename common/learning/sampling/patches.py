"""Patches with a lesion and, where the recipe asks for them, patches from anywhere in the brain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from common.arrays import BoolArray, Float32Array
from common.errors import SiteDataError
from common.learning.augmentation.registry import augmented
from common.learning.sampling.batch import Batch
from common.learning.sampling.cutting import Shape, cut, cut_each
from common.learning.sampling.labelled_case import FlatVoxels, LabelledCase
from common.recipe.sampling import Augmentation

NONE: FlatVoxels = np.empty(0, np.intp)


class Patch(NamedTuple):
    """Image (C, *patch_shape), references (R, *patch_shape), and the case's place in the list."""

    image: Float32Array
    references: BoolArray
    case: int


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
    def draw(self, random: np.random.Generator) -> Patch:
        """One patch, copied."""

    def draw_batch(self, n_patches: int, random: np.random.Generator) -> Batch:
        """So many patches, one after the other."""
        patches = [self.draw(random) for _ in range(n_patches)]
        images, references, cases = zip(*patches, strict=True)
        return Batch(np.stack(images), np.stack(references), np.array(cases))

    def _lies_anywhere(self, *, has_lesion: bool, random: np.random.Generator) -> bool:
        """Whether the next patch of a case need not hold a lesion voxel."""
        if not has_lesion:
            return True
        return self._lesion_share < 1 and bool(random.random() >= self._lesion_share)


def no_lesion_voxel(n_cases: int) -> SiteDataError:
    """The refusal of a site whose cases that train have no lesion voxel in their references."""
    return SiteDataError(
        f"no lesion voxel in the reference of {n_cases} cases, want at least one: this site may "
        "join the statistics, but cannot train. Add lesion masks, enrol the site for the "
        "statistics only, or, where its cases with lesions were all kept from training, let the "
        "recipe's federation.site_*_share keep fewer.",
        code="no-lesions",
    )


class Patches(PatchSampler):
    """Draws patches with a lesion voxel, and others anywhere in the brain.

    n_outputs             references that come with each patch
    negatives             flat positions of voxels without lesion, one array a case, that others are
                          drawn about; none for any case where there are none
    hard_negative_share   of the patches that need not hold a lesion voxel, those about a negative
                          of their case; where it has none they lie anywhere
    The other settings are those of `PatchSampler`.

    Only the positions of lesion voxels are kept; images and references may be memory-mapped.
    """

    def __init__(
        self,
        cases: Sequence[LabelledCase],
        *,
        patch_shape: Shape,
        lesion_share: float = 1.0,
        n_outputs: int = 1,
        augment: Sequence[Augmentation] = (),
        negatives: Sequence[FlatVoxels] = (),
        hard_negative_share: float = 0.0,
    ) -> None:
        super().__init__(patch_shape=patch_shape, lesion_share=lesion_share, augment=augment)
        self._negatives = dict(enumerate(negatives))
        self._hard_negative_share = hard_negative_share
        labelled = [
            (number, case, np.flatnonzero(np.asarray(case.lesions)))
            for number, case in enumerate(cases)
            if case.lesions is not None
        ]
        if not any(voxels.size for *_, voxels in labelled):
            raise no_lesion_voxel(len(cases))
        self._cases = [
            (number, case.image, case.brain, case.references(n_outputs), voxels)
            for number, case, voxels in labelled
            if voxels.size or lesion_share < 1
        ]

    def draw(self, random: np.random.Generator) -> Patch:
        """One patch, copied.

        The case is drawn first, every case alike; then one of its lesion voxels, or a voxel of its
        brain, or a negative; then the patch's place among all that hold this voxel and do not reach
        beyond the volume. Along an axis where the volume is smaller than the patch, the patch holds
        all of it at a random place, and zeros around it.
        Source   Aslani et al. 2020: patches with at least one lesion voxel; Fenneteau et al. 2021:
                 four in five, the others all over the brain. The order is chosen.
        """
        drawn = self._cases[random.integers(len(self._cases))]
        number, image, brain, references, lesion_voxels = drawn
        if self._lies_anywhere(has_lesion=bool(lesion_voxels.size), random=random):
            voxel = self._without_lesion(number, brain, random)
        else:
            voxel = np.unravel_index(random.choice(lesion_voxels), brain.shape)
        start = _start_about(voxel, brain, self._patch_shape, random)
        patch = cut(image, start, self._patch_shape), cut_each(references, start, self._patch_shape)
        return Patch(*augmented(*patch, self._augment, random), number)

    def _without_lesion(
        self, number: int, brain: BoolArray, random: np.random.Generator
    ) -> tuple[np.intp, ...]:
        """A voxel about which a patch lies that need not hold a lesion."""
        negatives = self._negatives.get(number, NONE)
        if negatives.size and random.random() < self._hard_negative_share:
            return np.unravel_index(int(random.choice(negatives)), brain.shape)
        return _voxel_in(brain, random)


def brain_patch(
    image: Float32Array, brain: BoolArray, patch_shape: Shape, random: np.random.Generator
) -> Float32Array:
    """A patch (C, *patch_shape) that holds a voxel of the brain, each as likely, copied.

    image   (C, i, j, k)
    brain   (i, j, k), with at least one voxel
    """
    return cut(
        image, _start_about(_voxel_in(brain, random), brain, patch_shape, random), patch_shape
    )


def _start_about(
    voxel: tuple[np.intp, ...], brain: BoolArray, patch_shape: Shape, random: np.random.Generator
) -> list[int]:
    """Where a patch begins that holds the voxel, every place as likely."""
    return [
        _draw_start(int(v), n_patch=p, n_volume=n, random=random)
        for v, p, n in zip(voxel, patch_shape, brain.shape, strict=True)
    ]


def _voxel_in(brain: BoolArray, random: np.random.Generator) -> tuple[np.intp, ...]:
    """A voxel of the brain, each as likely: drawn from the box until it lies inside."""
    while True:
        voxel = np.unravel_index(int(random.integers(brain.size)), brain.shape)
        if brain[voxel]:
            return voxel


def _draw_start(voxel: int, *, n_patch: int, n_volume: int, random: np.random.Generator) -> int:
    """Where the patch begins in the volume along one axis; negative where it is the larger."""
    first = max(voxel - n_patch + 1, min(0, n_volume - n_patch))
    last = min(voxel, max(0, n_volume - n_patch))
    return int(random.integers(first, last, endpoint=True))
