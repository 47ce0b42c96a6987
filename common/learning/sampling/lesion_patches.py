"""Patches with at least one lesion voxel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from common.errors import SiteDataError

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Shape = tuple[int, int, int]


class LabelledCase(Protocol):
    """A case with its reference: image (C, i, j, k) and lesions (i, j, k), or None without."""

    @property
    def image(self) -> FloatArray: ...

    @property
    def lesions(self) -> BoolArray | None: ...


class LesionPatches:
    """Draws patches from the cases that have a lesion; the others are left out.

    patch_shape   voxels along (i, j, k)
    mirror        flip a patch along its first axis with probability one half

    Only the positions of lesion voxels are kept; images may be memory-mapped.
    """

    def __init__(
        self, cases: Sequence[LabelledCase], *, patch_shape: Shape, mirror: bool = False
    ) -> None:
        found = [(case.image, case.lesions, _lesion_voxels(case)) for case in cases]
        self._cases = [
            (image, lesions, voxels)
            for image, lesions, voxels in found
            if lesions is not None and voxels.size
        ]
        if not self._cases:
            raise SiteDataError(
                f"no lesion voxel in the reference of {len(cases)} cases, want at least one: this "
                "site may join the statistics, but cannot train. Add lesion masks, or enrol the "
                "site for the statistics only.",
                code="no-lesions",
            )
        self._patch_shape = patch_shape
        self._mirror = mirror

    def draw(self, random: np.random.Generator) -> tuple[FloatArray, BoolArray]:
        """One patch: image (C, *patch_shape) and lesions (*patch_shape), copied.

        The case is drawn first, every case alike; then one of its lesion voxels; then the patch's
        place among all that hold this voxel and reach not beyond the volume. Along an axis where
        the volume is the smaller, the patch holds all of it, anywhere, and zeros around.
        Source   Aslani et al. 2020: patches with at least one lesion voxel. The order is chosen.
        """
        image, lesions, voxels = self._cases[random.integers(len(self._cases))]
        voxel = np.unravel_index(random.choice(voxels), lesions.shape)
        start = [
            _draw_start(int(v), n_patch=p, n_volume=n, random=random)
            for v, p, n in zip(voxel, self._patch_shape, lesions.shape, strict=True)
        ]
        image_patch = np.zeros((image.shape[0], *self._patch_shape), np.float32)
        lesion_patch = np.zeros(self._patch_shape, np.bool_)
        volume, patch = _overlap(start, self._patch_shape, lesions.shape)
        image_patch[:, *patch] = image[:, *volume]
        lesion_patch[patch] = lesions[volume]
        if self._mirror and random.random() < 0.5:
            return image_patch[:, ::-1], lesion_patch[::-1]
        return image_patch, lesion_patch

    def draw_batch(
        self, n_patches: int, random: np.random.Generator
    ) -> tuple[FloatArray, BoolArray]:
        """Images (B, C, *patch_shape) and lesions (B, *patch_shape)."""
        images, lesions = zip(*(self.draw(random) for _ in range(n_patches)), strict=True)
        return np.stack(images), np.stack(lesions)


def _lesion_voxels(case: LabelledCase) -> npt.NDArray[np.intp]:
    """Flat positions of the lesion voxels."""
    return np.flatnonzero(case.lesions) if case.lesions is not None else np.empty(0, np.intp)


def _draw_start(voxel: int, *, n_patch: int, n_volume: int, random: np.random.Generator) -> int:
    """Where the patch begins in the volume along one axis; negative where it is the larger."""
    first = max(voxel - n_patch + 1, min(0, n_volume - n_patch))
    last = min(voxel, max(0, n_volume - n_patch))
    return int(random.integers(first, last, endpoint=True))


def _overlap(
    start: Sequence[int], patch_shape: Shape, volume_shape: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part that patch and volume share, as slices of the volume and of the patch."""
    volume, patch = [], []
    for begin, n_patch, n_volume in zip(start, patch_shape, volume_shape, strict=True):
        low, high = max(begin, 0), min(begin + n_patch, n_volume)
        volume.append(slice(low, high))
        patch.append(slice(low - begin, high - begin))
    return tuple(volume), tuple(patch)
