"""Patches about lesion voxels, and others about voxels without lesion."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from common.arrays import Float32Array, IndexArray
from common.errors import SiteDataError
from common.learning.networks.cascade import PATCH_SIDE
from common.learning.sampling.batch import Batch
from common.learning.sampling.cutting import cut
from common.learning.sampling.labelled_case import FlatVoxels, LabelledCase


class LesionVoxels:
    """Draws batches that begin with patches about lesion voxels and end with negative ones.

    negatives      flat positions of voxels without lesion, one array a case
    lesion_share   how much of a batch is about lesion voxels, below 1
    half_turn      half of each batch is turned by 180 degrees in plane, flipped, or both

    Source   Valverde et al. 2017: every lesion voxel, and as many negatives of the same subject,
             which is a share of one half.
    Chosen   there is no fixed list: both parts are drawn again, with replacement, and every
             lesion voxel of the site has the same chance. So a case counts by its lesion voxels in
             both parts, and one without lesion is left out.
    """

    def __init__(
        self,
        cases: Sequence[LabelledCase],
        *,
        negatives: Sequence[FlatVoxels],
        lesion_share: float,
        half_turn: bool,
    ) -> None:
        found = [
            (number, case.image, np.flatnonzero(case.lesions), without)
            for number, (case, without) in enumerate(zip(cases, negatives, strict=True))
            if case.lesions is not None and case.lesions.any()
        ]
        if not found:
            raise SiteDataError(
                f"no lesion voxel in the reference of {len(cases)} cases, want at least one: this "
                "site may join the statistics, but cannot train. Add lesion masks, or enrol the "
                "site for the statistics only.",
                code="no-lesions",
            )
        self._numbers = np.array([number for number, *_ in found])
        self._positives = [(image, lesion) for _, image, lesion, _ in found]
        self._negatives = [(image, without) for _, image, _, without in found]
        n_lesion = np.array([lesion.size for _, _, lesion, _ in found], np.float64)
        self._share = n_lesion / n_lesion.sum()
        n_with_negatives = n_lesion * [without.size > 0 for *_, without in found]
        if not n_with_negatives.any():
            raise SiteDataError(
                f"no voxel without lesion to learn from in {len(found)} cases with lesions, want "
                "at least one: brain, no lesion and FLAIR above network.candidates_above. Look at "
                "the site's brain masks and standardized FLAIR.",
                code="no-negatives",
            )
        self._share_of_negatives = n_with_negatives / n_with_negatives.sum()
        self._lesion_share = lesion_share
        self._half_turn = half_turn

    def draw_batch(self, n_patches: int, random: np.random.Generator) -> Batch:
        """Images (B, C, 11, 11, 11), and whether the centre is a lesion (B, 1).

        The share is rounded to whole patches, a half up; of two patches or more, one at least is of
        each kind. A patch that reaches beyond the volume holds zeros there.
        """
        n_rounded = math.floor(n_patches * self._lesion_share + 0.5)
        n_positive = min(max(1, n_rounded), max(1, n_patches - 1))
        n_negative = n_patches - n_positive
        positives, of_lesion = _drawn(self._positives, self._share, n_positive, random)
        negatives, other = _drawn(self._negatives, self._share_of_negatives, n_negative, random)
        images = np.stack([*positives, *negatives])
        if self._half_turn:
            _turn_half(images, random)
        centre_is_lesion = (np.arange(n_patches) < n_positive)[:, None]
        return Batch(images, centre_is_lesion, self._numbers[np.concatenate([of_lesion, other])])


def _drawn(
    voxels: Sequence[tuple[Float32Array, FlatVoxels]],
    share: Float32Array,
    n: int,
    random: np.random.Generator,
) -> tuple[list[Float32Array], IndexArray]:
    """Patches (C, 11, 11, 11) about drawn voxels: the case by its share, then any of its voxels.

    And the place of each one's case in `voxels`.
    """
    patches = []
    drawn = random.choice(len(voxels), size=n, p=share)
    for index in drawn:
        image, flat = voxels[index]
        centre = np.unravel_index(flat[random.integers(flat.size)], image.shape[1:])
        start = [int(c) - PATCH_SIDE // 2 for c in centre]
        patches.append(cut(image, start, (PATCH_SIDE,) * 3))
    return patches, drawn


def _turn_half(images: Float32Array, random: np.random.Generator) -> None:
    """Turns half of the batch in place; the plane is (i, j).

    A half turn mirrors both axes, the flip is left to right (i), both together mirror j; each as
    likely (chosen, as are the axes).
    """
    half = random.permutation(len(images))[: len(images) // 2]
    for index, mirrored in zip(half, random.integers(3, size=len(half)), strict=True):
        axes = ((1, 2), (1,), (2,))[mirrored]
        images[index] = np.flip(images[index], axes)
