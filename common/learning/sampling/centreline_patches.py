"""Overlapping patches along the spinal cord's centreline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.arrays import BoolArray, IndexArray
from common.errors import SiteDataError
from common.learning.augmentation.registry import augmented
from common.learning.sampling.cutting import Shape, cut, cut_each
from common.learning.sampling.labelled_case import LabelledCase
from common.learning.sampling.patches import Patch, PatchSampler
from common.recipe.sampling import Augmentation

JITTER = 8
"""A patch lies up to a JITTER-th of its size beside its point, along each axis (chosen)."""


class CentrelinePatches(PatchSampler):
    """Draws patches centred near points of the centreline.

    n_outputs   references that come with each patch
    The other settings are those of `PatchSampler`.

    There is a point in every slice, so that neighbours overlap by nearly all of a patch.
    Only the points are kept; images and references may be memory-mapped.
    Source   Hussein et al. 2023: 48^3 patches along the centreline, overlapping. The points, the
             jitter and the share with lesion are chosen.
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
        labelled = [
            (number, case, case.lesions, centreline_points(case.brain))
            for number, case in enumerate(cases)
            if case.lesions is not None
        ]
        found = [
            (number, case, lesions, points, self._near_lesion(lesions, points))
            for number, case, lesions, points in labelled
        ]
        if not any(near.size for *_, near in found):
            raise SiteDataError(
                f"no lesion voxel within a patch of {patch_shape} voxels of the centreline in the "
                f"references of {len(cases)} cases, want at least one: this site may join the "
                "statistics, but cannot train. Add lesion masks, or enrol the site for the "
                "statistics only.",
                code="no-lesions",
            )
        self._cases = [
            (number, case.image, lesions, case.references(n_outputs), points, near)
            for number, case, lesions, points, near in found
            if near.size or lesion_share < 1
        ]

    def draw(self, random: np.random.Generator) -> Patch:
        """One patch, copied.

        The case is drawn first, every case alike; then one of the points whose patch holds a
        lesion, or any point; then the patch is moved a little, unless it would lose its
        lesion. A patch stays inside the volume; along an axis where the volume is smaller than the
        patch, it holds all of it, and zeros around it.
        """
        drawn = self._cases[random.integers(len(self._cases))]
        number, image, lesions, references, points, near = drawn
        anywhere = self._lies_anywhere(has_lesion=bool(near.size), random=random)
        point = points[random.integers(len(points))] if anywhere else points[random.choice(near)]
        reach = np.array(self._patch_shape) // JITTER
        start = self._start(point + random.integers(-reach, reach, endpoint=True), lesions.shape)
        if not anywhere and not cut(lesions[None], start, self._patch_shape).any():
            start = self._start(point, lesions.shape)
        patch = cut(image, start, self._patch_shape), cut_each(references, start, self._patch_shape)
        return Patch(*augmented(*patch, self._augment, random), number)

    def _near_lesion(self, lesions: BoolArray, points: IndexArray) -> IndexArray:
        """The points, by their index, whose patch without jitter holds a lesion voxel."""
        if not lesions.any():
            return np.empty(0, np.intp)
        starts = (self._start(point, lesions.shape) for point in points)
        holds = [cut(lesions[None], start, self._patch_shape).any() for start in starts]
        return np.flatnonzero(holds)

    def _start(self, centre: IndexArray, volume_shape: Sequence[int]) -> list[int]:
        """The first voxel of the patch around `centre`; negative where the volume is smaller."""
        return [
            min(max(int(c) - p // 2, min(0, n - p)), max(0, n - p))
            for c, p, n in zip(centre, self._patch_shape, volume_shape, strict=True)
        ]


def centreline_points(region: BoolArray) -> IndexArray:
    """The middle of each slice of the region, (n, 3) voxels, n >= 1, from the first slice on.

    region   (i, j, k), the surroundings of the cord; at least one voxel
    Slices lie across the axis along which the region is longest; one without a voxel is
    skipped. Chosen: the region was made around the centreline, so its middle is the centreline
    again, to within a voxel.
    """
    voxels = np.argwhere(region)
    axis = int(np.ptp(voxels, axis=0).argmax())
    _, index, count = np.unique(voxels[:, axis], return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(index, weights=voxels[:, n]) for n in range(3)], axis=1)
    points: IndexArray = np.rint(sums / count[:, None]).astype(np.intp)
    return points
