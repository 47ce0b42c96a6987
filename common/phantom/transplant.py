"""Lesions put into real images of tissue without lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from common.arrays import BoolArray, FloatArray, IndexArray
from common.imaging.volume import Volume
from common.phantom.anatomy import Anatomy
from common.phantom.grid import Field, PhantomGrid, triangle_weights
from common.phantom.lesions import soil_of
from common.phantom.real_tissue import RealTissue, smoothed
from common.phantom.sources import MNI_1MM

FLAIR_BRIGHTER = 0.45
"""Brightness of a lesion's inside in FLAIR over that of white matter, less 1."""
T1W_DARKER = ((3.0, 0.08), (12.0, 0.14), (40.0, 0.22), (150.0, 0.30), (600.0, 0.36))
"""Volume of a lesion in mm3, and by how much of white matter its inside is darker in the T1w.

Both from `python -m benchmarks.lesion_contrast` on two patients of one 3 T scanner (Lesjak et al.
2017), rounded to values inside the quartiles that both have: either patient alone gives them. The
two medians of the mean over a lesion of 5 to 20, 20 to 60 and 60 to 250 mm3: FLAIR +0.28 and +0.34,
+0.32 and +0.35, +0.45 and +0.40; T1w -0.08 and -0.11, -0.19 and -0.13, -0.29 and -0.24; from 1 to 2
mm inside large lesions +0.48 and +0.43, -0.26 and -0.29. Small lesions show less because of partial
volume, which is added here by itself."""
LESIONS_DIFFER = 0.22
"""Standard deviation of the logarithm of the contrast between one patient's lesions of one size:
the quartiles of both patients are 0.80 to 0.97 and 1.10 to 1.31 of the median."""
PATIENTS_DIFFER = 0.2
"""The same between patients and scanners. Chosen: wider than between the two patients."""
CORE_MM = 3.0
"""Deeper than this a large lesion may have lost its tissue: its FLAIR signal falls and its T1w is
darker still. Chosen: one of the two patients has it, and it is well known of old lesions."""
HALO = (0.05, 0.25)
"""Dirty white matter about a lesion, as a share of the contrast inside. Both patients: 0.08 to 0.23
in the first voxel outside, 0.02 to 0.17 at 2 to 3 mm."""
HALO_MM = 3.0
TEXTURE_MM = 1.2
"""What is finer than this stays where a lesion comes: the scanner's noise."""
SEEN = 0.02
"""Smaller shares of a voxel do not show."""

CONNECTED = np.ones((3, 3, 3), dtype=np.bool_)
"""Lesions are 26-connected."""


@dataclass(frozen=True, slots=True, eq=False)
class Transplant:
    """Images with lesions, all on one grid.

    images      BIDS suffix -> image, float32, unchanged where no lesion is or shows
    reference   bool: at least half of the voxel is lesion, as the FLAIR's slices show it
    """

    images: Mapping[str, Volume]
    reference: BoolArray


def transplanted(
    images: Mapping[str, Volume],
    tissue: RealTissue,
    fraction: Field,
    *,
    slice_mm: Mapping[str, Sequence[float]],
    rng: np.random.Generator,
) -> Transplant:
    """The images with lesions where `fraction` has them inside the brain.

    images     BIDS suffix -> FLAIR and, where there is one, T1w
    fraction   (i, j, k), the share of each voxel that is to be lesion
    slice_mm   BIDS suffix -> the size of the scanner's voxels along i, j and k, mm: lesions are
               blurred to it, as the tissue was
    A lesion whose slices leave no voxel at least half lesion is left out of images and reference,
    so that the images show no lesion that the reference lacks altogether.
    """
    spacing_mm = next(iter(images.values())).spacing_mm
    inside = tissue.anatomy.brain > 0.5
    room = np.where(inside, fraction, 0.0).astype(np.float32)
    share = {modality: through_slices(room, spacing_mm, slice_mm[modality]) for modality in images}
    drawn_on = share["FLAIR"]
    parts, _ = ndimage.label(drawn_on > SEEN, structure=CONNECTED)
    whole = np.bincount(parts[drawn_on >= 0.5], minlength=int(parts.max()) + 1) > 0
    whole[0] = False
    kept = whole[parts]
    reference: BoolArray = kept & (drawn_on >= 0.5) & inside
    shown = _looks(reference, spacing_mm, images, rng)
    changed = {}
    for modality, image in images.items():
        own = np.where(kept, share[modality], 0.0)
        changed[modality] = Volume(
            _with_lesions(image.data, own, shown[modality], tissue, modality, spacing_mm, rng),
            image.affine,
        )
    return Transplant(changed, reference)


def softened(mask: BoolArray) -> Field:
    """The share of each voxel that is lesion, where `mask` says which are by at least half.

    At least 0.55 in the mask and at most 0.45 outside, so that the mask can be read from it again:
    a lesion of one voxel too. Chosen: a Gaussian of 0.7 voxels between.
    """
    near = ndimage.gaussian_filter(mask.astype(np.float32), 0.7)
    share: Field = np.where(mask, np.clip(near + 0.25, 0.55, 1.0), np.minimum(near, 0.45))
    return share.astype(np.float32)


def share_of_mask(mask: BoolArray, anatomy: Anatomy) -> Field:
    """The share of each voxel of a brain that is lesion where a mask has one and tissue has room.

    mask   (i, j, k), on the MNI152 1 mm grid, from left to right
    White matter gives room wholly, grey partly, fluid none.
    """
    share: Field = softened(placed(mask, anatomy.grid)) * soil_of(anatomy)
    return share


def placed(mask: BoolArray, grid: PhantomGrid) -> BoolArray:
    """A mask of the MNI152 1 mm grid on another grid of that space, from the nearest voxels."""
    index: list[IndexArray] = []
    known: list[BoolArray] = []
    for axis in range(3):
        nearest = np.rint(grid.axis_mm(axis) - MNI_1MM.first_mm[axis]).astype(np.intp)
        known.append((nearest >= 0) & (nearest < mask.shape[axis]))
        index.append(np.clip(nearest, 0, mask.shape[axis] - 1))
    found: BoolArray = mask[np.ix_(*index)] & known[0][:, None, None]
    return found & known[1][None, :, None] & known[2][None, None, :]


def through_slices(share: Field, spacing_mm: FloatArray, slice_mm: Sequence[float]) -> Field:
    """`share` as voxels of `slice_mm` would show it, back on its own grid.

    spacing_mm, slice_mm   along i, j and k
    Along each axis where the scanner's voxels are larger: averaged into them and interpolated back,
    both with a triangle as wide at half height, the first one at the first voxel (chosen: where the
    slices began is not known).
    """
    found = share
    for axis, (fine, thick) in enumerate(zip(spacing_mm, slice_mm, strict=True)):
        if thick <= 1.05 * fine:
            continue
        at = float(fine) * np.arange(share.shape[axis], dtype=np.float64)
        slices = float(thick) * np.arange(int(at[-1] / thick) + 2, dtype=np.float64)
        averaging = triangle_weights(at, slices, width_mm=thick)
        back = triangle_weights(slices, at, width_mm=thick)
        found = np.moveaxis(np.tensordot(back @ averaging, found, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(found, dtype=np.float32)


def _looks(
    reference: BoolArray,
    spacing_mm: FloatArray,
    images: Mapping[str, Volume],
    rng: np.random.Generator,
) -> dict[str, Field]:
    """BIDS suffix -> (i, j, k), by how much of white matter a whole voxel of lesion differs.

    About each lesion as well as in it. Draws as many numbers whichever images there are.
    """
    parts, n_parts = ndimage.label(reference, structure=CONNECTED)
    volume_mm3 = np.bincount(parts.ravel(), minlength=n_parts + 1) * float(np.prod(spacing_mm))
    patient = np.exp(PATIENTS_DIFFER * rng.standard_normal(2))
    common, own = rng.standard_normal((2, n_parts + 1))
    flair = FLAIR_BRIGHTER * patient[0] * np.exp(LESIONS_DIFFER * common)
    sizes, darker = np.array(T1W_DARKER).T
    t1w = np.interp(np.log(np.maximum(volume_mm3, 1.0)), np.log(sizes), darker)
    t1w *= patient[1] * np.exp(LESIONS_DIFFER * (0.6 * common + 0.8 * own))
    lost = rng.uniform(0.0, 0.6, size=n_parts + 1)
    nearest = ndimage.grey_dilation(parts, size=(5, 5, 5))
    depth_mm = ndimage.distance_transform_edt(reference, sampling=spacing_mm)
    core = np.clip((depth_mm - CORE_MM) / 3.0, 0.0, 1.0)
    looks = {
        "FLAIR": np.clip(flair, 0.15, 0.9)[nearest] * (1.0 - lost[nearest] * core),
        "T1w": -np.clip(
            t1w[nearest] * (1.0 + 0.3 * np.clip(depth_mm - 1.0, 0.0, 4.0) * (0.3 + lost[nearest])),
            0.0,
            0.75,
        ),
    }
    return {modality: looks[modality].astype(np.float32) for modality in images}


def _with_lesions(
    data: Field,
    share: Field,
    look: Field,
    tissue: RealTissue,
    modality: str,
    spacing_mm: FloatArray,
    rng: np.random.Generator,
) -> Field:
    """The image with its smooth part moved to the lesion's brightness, its noise as it was."""
    level = tissue.level[modality]
    inside = tissue.anatomy.brain > 0.5
    ground = smoothed(data, inside, TEXTURE_MM / spacing_mm)
    changed = data + share * (level * (1.0 + look) - ground)
    around = ndimage.gaussian_filter(share * look, HALO_MM / spacing_mm, truncate=3.0)
    white = tissue.anatomy.fraction("white") * (1.0 - share)
    changed += rng.uniform(*HALO) * 2.0 * around * level * white
    lowest = 0.05 * level  # no voxel of the brain becomes background
    touched = inside & (changed != data)
    result: Field = np.where(touched, np.maximum(changed, lowest), data).astype(np.float32)
    return result
