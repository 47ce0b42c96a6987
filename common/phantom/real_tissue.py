"""What a real brain is made of, from its own images and the average brain laid over it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from common.arrays import BoolArray, FloatArray
from common.errors import SiteDataError
from common.imaging.tissue_order import onto_template
from common.imaging.volume import Volume
from common.phantom.anatomy import TISSUES, Anatomy, mni_anatomy
from common.phantom.grid import Field, PhantomGrid, common_grid, resampled

LEAST_WHITE_ML = 40.0
"""Less white matter than this, and its brightness is not known well enough. Chosen."""
CERTAIN_WHITE = 0.9
"""Share of white matter in the average brain from which a voxel counts as it at first. Chosen."""
BLUR_MM = 0.7
"""Noise is smoothed by this before a voxel's brightness says what it is. Chosen."""
MISFIT_MM = 2.0
"""How far the average brain, laid over another by its box, is off: its white matter is blurred by
as much. Chosen, by eye."""
LEVEL_MM = 15.0
"""White matter's brightness may change over this distance. Chosen."""
FLUID = (0.6, 0.8)
"""Brightness over that of white matter: below the first all fluid, above the second none. Chosen
between fluid (0.1 to 0.4 in FLAIR and T1w) and grey matter (above 0.7 in the T1w)."""


@dataclass(frozen=True, slots=True, eq=False)
class RealTissue:
    """The tissue of one real brain on the grid of its images.

    anatomy   its fractions, and where it lies in MNI space; the grid is that of the images
    level     BIDS suffix -> (i, j, k), the brightness that white matter has about each voxel
    """

    anatomy: Anatomy
    level: Mapping[str, Field]

    def within(self, kept: BoolArray) -> RealTissue:
        """The same where `kept` is true, and no tissue elsewhere."""
        whole = self.anatomy
        return replace(self, anatomy=replace(whole, fractions=whole.fractions * kept))


def real_tissue(images: Mapping[str, Volume], brain: Volume) -> RealTissue:
    """The tissue of a brain whose white matter is mostly healthy.

    images   BIDS suffix -> FLAIR and, where there is one, T1w: upright, stripped, on one grid whose
             axes run along the world's, at about 1 mm
    brain    bool, on that grid
    SiteDataError where the axes are oblique, or white matter is not found.
    Chosen   The average brain is laid over this one by the box of both (no registration). White
             matter is where that brain, blurred, has it and every image is as bright as about its
             certain white matter, within one standard deviation and less and less outside; fluid is
             darker in every image. The rest is grey.
    """
    inside = brain.data.astype(np.bool_)
    grid = template_grid(brain)
    average = average_on(grid)
    certain = (average[TISSUES.index("white")] > CERTAIN_WHITE) & inside
    likely = np.ones(grid.shape, dtype=np.float32)
    fluid = np.ones(grid.shape, dtype=np.float32)
    level: dict[str, Field] = {}
    for modality, image in images.items():
        seen = smoothed(image.data, inside, BLUR_MM / brain.spacing_mm)
        white, spread = _white_matter(seen, certain, brain, modality)
        level[modality] = smoothed(seen, white, LEVEL_MM / brain.spacing_mm)
        apart = np.abs(seen - level[modality]) / spread
        likely *= np.exp(-0.5 * np.square(np.maximum(apart - 1.0, 0.0)))
        ratio = seen / np.maximum(level[modality], 1e-6)
        fluid *= np.clip((FLUID[1] - ratio) / (FLUID[1] - FLUID[0]), 0.0, 1.0)
    room = ndimage.gaussian_filter(average[TISSUES.index("white")], MISFIT_MM / brain.spacing_mm)
    fluid = (fluid * inside).astype(np.float32)
    white_share = np.clip(1.6 * room - 0.15, 0.0, 1.0) * likely * inside
    soft: Field = ndimage.gaussian_filter(white_share, 0.6).astype(np.float32)
    return RealTissue(
        _anatomy(grid, average, inside, np.minimum(soft, inside - fluid), fluid), level
    )


def template_grid(brain: Volume) -> PhantomGrid:
    """The brain's grid as it lies in MNI space, by the box of its brain.

    SiteDataError where the axes do not run along the world's.
    """
    axes = brain.affine[:3, :3]
    oblique = np.abs(axes - np.diag(np.diag(axes))).max() > 1e-3 * brain.spacing_mm.min()
    if oblique or not (np.diag(axes) > 0).all():
        raise SiteDataError(
            "want images whose axes run along the patient's right, front and top, found oblique "
            "ones. Prepare them first (lesionfed-site prepare)."
        )
    at = np.argwhere(brain.data) * brain.spacing_mm + brain.affine[:3, 3]
    low, high = np.percentile(at, (0.5, 99.5), axis=0)
    scale, offset = onto_template(low, high)
    first = brain.affine[:3, 3] * scale + offset
    spacing = brain.spacing_mm * scale
    i, j, k = brain.data.shape
    return PhantomGrid(
        (float(first[0]), float(first[1]), float(first[2])),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        (i, j, k),
    )


def average_on(grid: PhantomGrid) -> Field:
    """(5, i, j, k), order of TISSUES: the average brain's fractions on a grid of MNI space."""
    average = _average()
    return np.stack([resampled(field, average.grid, grid) for field in average.fractions])


@functools.cache
def _average() -> Anatomy:
    """The average brain, loaded once. 2 mm do: it is off by as much in another brain."""
    return mni_anatomy(common_grid(MISFIT_MM))


def smoothed(data: Field, where: BoolArray, width_voxels: FloatArray) -> Field:
    """`data` after a Gaussian that sees the voxels in `where` alone; 0 far from all of them."""
    weight = where.astype(np.float32)
    near = ndimage.gaussian_filter(weight, width_voxels, truncate=3.0)
    total = ndimage.gaussian_filter(data * weight, width_voxels, truncate=3.0)
    mean: Field = np.where(near > 1e-6, total / np.maximum(near, 1e-6), 0.0).astype(np.float32)
    return mean


def _white_matter(
    seen: Field, certain: BoolArray, brain: Volume, modality: str
) -> tuple[BoolArray, float]:
    """Where white matter is certain and of its usual brightness, and how far that spreads."""
    if np.count_nonzero(certain) * brain.voxel_volume_mm3 < 1000.0 * LEAST_WHITE_ML:
        raise SiteDataError(
            f"want at least {LEAST_WHITE_ML:g} mL of white matter in the brain mask, found less. "
            "Give whole brains: the half that is not wanted is cut out afterwards (--side)."
        )
    values = seen[certain]
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    if not (middle > 0 and spread > 0):
        raise SiteDataError(
            f"want a {modality} that shows white matter, found {middle:g} in the middle of it. "
            "Check the image and the brain mask."
        )
    return certain & (np.abs(seen - middle) < 2.5 * spread), spread


def _anatomy(
    grid: PhantomGrid, average: Field, inside: BoolArray, white: Field, fluid: Field
) -> Anatomy:
    near = ndimage.gaussian_filter(average[TISSUES.index("ventricle")], 3.0) > 0.03
    ventricle = fluid * near
    grey = np.maximum(inside - fluid - white, 0.0)
    deep = ndimage.gaussian_filter(average[TISSUES.index("deep_grey")], 1.0)
    deep_share = grey * np.minimum(1.5 * deep, 1.0)
    fractions = np.stack([grey - deep_share, deep_share, white, ventricle, fluid - ventricle])
    away = ndimage.distance_transform_edt(ventricle < 0.5, sampling=grid.spacing_mm)
    return Anatomy(grid, fractions.astype(np.float32), away.astype(np.float32), sharpening=1.0)
