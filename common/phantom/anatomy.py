"""Brains to scan: tissue fractions from the MNI template or from a label map, made individual."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from common.arrays import BoolArray, FloatArray
from common.errors import SiteDataError
from common.imaging.volume import Volume, read_labels
from common.phantom.grid import (
    BRAIN_BOX_MM,
    LABEL_MAP_BOX_MM,
    Corners,
    Field,
    PhantomGrid,
    resampled,
    smooth_noise,
)

TISSUES = ("cortex", "deep_grey", "white", "ventricle", "csf")
"""Order of an anatomy's fractions. `ventricle` is the CSF of the lateral ventricles."""

Labels = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """What one brain is made of, in MNI space.

    grid           where the voxels lie
    fractions      (5, i, j, k), order of TISSUES; their sum is the brain's share of the voxel
    ventricle_mm   (i, j, k), distance to the lateral ventricles, 0 inside them
    sharpening     how much crisper one person's borders are; 1 where the map is one person's
    sulci          where borders are made crisper: least and largest factor on the fluid's share
    box_mm         corners of the box that a scanner's slices cover, RAS+ world
    """

    grid: PhantomGrid
    fractions: Field
    ventricle_mm: Field
    sharpening: float
    sulci: tuple[float, float] = (5.0, 9.0)
    box_mm: Corners = BRAIN_BOX_MM

    def fraction(self, tissue: str) -> Field:
        """The share of each voxel that is `tissue`, 0 to 1."""
        field: Field = self.fractions[TISSUES.index(tissue)]
        return field

    @property
    def brain(self) -> Field:
        """The share of each voxel inside the stripped brain, 0 to 1."""
        total: Field = self.fractions.sum(axis=0)
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Deformation:
    """Where the voxels in and around one person's brain come from.

    inside    (i, j, k), the voxels that can hold brain; all others come from nowhere
    sources   (n, 3), for each voxel inside, indices into the same grid
    """

    inside: BoolArray
    sources: Field

    def warped(self, fields: Field) -> Field:
        """`fields`, (channels, i, j, k), as this person has them, linear between voxels."""
        channels = np.ascontiguousarray(np.moveaxis(fields, 0, -1))
        rows = channels.reshape(-1, len(fields))
        shape = np.array(channels.shape[:3])
        strides = np.array([shape[1] * shape[2], shape[2], 1], dtype=np.int32)
        places = np.clip(self.sources, 0.0, shape - 1.001).astype(np.float32)
        values = np.zeros((len(places), len(fields)), dtype=np.float32)
        for start in range(0, len(places), _AT_ONCE):
            piece = places[start : start + _AT_ONCE]
            low = piece.astype(np.int32)
            shares = np.stack([1.0 - (piece - low), piece - low])
            first = low @ strides
            total = values[start : start + _AT_ONCE]
            for i, j, k in np.ndindex(2, 2, 2):
                weight = shares[i, :, 0] * shares[j, :, 1] * shares[k, :, 2]
                total += weight[:, None] * rows.take(first + int(strides @ (i, j, k)), axis=0)
        out = np.zeros_like(fields)
        out[:, self.inside] = values.T
        return out


def mni_anatomy(grid: PhantomGrid) -> Anatomy:
    """The average brain of the MNI152 template that nilearn brings along, on `grid`.

    Source   ICBM 152 2009a, grey and white matter probabilities. Which CSF is lateral ventricle
             and which grey matter is deep is read from boxes in MNI space (chosen).
    """
    from nilearn.datasets import (
        load_mni152_gm_template,
        load_mni152_template,
        load_mni152_wm_template,
    )

    head = load_mni152_template(resolution=1)
    grey, white = (
        np.asarray(load(resolution=1).get_fdata(dtype=np.float32))
        for load in (load_mni152_gm_template, load_mni152_wm_template)
    )
    first = head.affine[:3, 3]
    source = PhantomGrid((first[0], first[1], first[2]), (1.0, 1.0, 1.0), grey.shape)
    brain = (np.asarray(head.dataobj) > 0).astype(np.float32)
    grey, white = grey * brain, white * brain
    fluid = np.clip(brain - grey - white, 0.0, 1.0)
    ventricle = fluid * _lateral_ventricles(fluid, source)
    # the segmentation behind the maps lines the ventricles with grey matter; it is partial volume
    deep_grey = grey * _deep_grey_region(source)
    lining = (grey - deep_grey) * (_gaussian(ventricle, 2.0) > 0.02)
    cortex = grey - deep_grey - lining
    maps = (cortex, deep_grey, white + lining, ventricle, fluid - ventricle)
    fractions = np.stack([resampled(field, source, grid) for field in maps])
    return Anatomy(grid, fractions, _distance_mm(fractions[3], grid), sharpening=2.2)


def label_map_anatomy(path: Path, grid: PhantomGrid) -> Anatomy:
    """One person's brain from a FreeSurfer label map, placed in MNI space, on `grid`.

    An affine brings the centres of 18 structures to about their place in MNI space (chosen: no
    registration; 1.3 to 3.3 mm remain, root mean square).
    The stripped brain is the tissue and the CSF that smoothing over 3 mm fills in.
    """
    volume = read_labels(path)
    labels, affine = _cropped(volume, path)
    tissue = np.isin(labels, _TISSUE_LABELS)
    to_index = np.linalg.inv(affine) @ _mni_to_world(labels, affine, path)
    matrix, offset = to_index[:3, :3], to_index[:3, 3]
    step = matrix @ np.diag(grid.spacing_mm)
    start = matrix @ np.array(grid.first_mm) + offset

    def placed(mask: BoolArray, blur: float = 0.6) -> Field:
        soft = ndimage.gaussian_filter(mask.astype(np.float32), blur)
        out: Field = ndimage.affine_transform(
            soft, step, offset=start, output_shape=grid.shape, order=1
        )
        return out

    cortex, deep, white, ventricle = (
        placed(np.isin(labels, wanted))
        for wanted in (_CORTEX_LABELS, _DEEP_GREY_LABELS, _WHITE_LABELS, _VENTRICLE_LABELS)
    )
    solid = np.minimum(cortex + deep + white + ventricle, 1.0)
    brain = np.clip(2.5 * placed(tissue, blur=3.0) - 0.5, 0.0, 1.0)
    brain *= _largest_part(brain > 0.1)
    fractions = np.stack([cortex, deep, white, ventricle, np.clip(brain - solid, 0.0, 1.0)])
    fractions *= brain / np.maximum(fractions.sum(axis=0), 1e-6)
    ventricle_mm = _distance_mm(ventricle, grid)
    return Anatomy(grid, fractions, ventricle_mm, sharpening=1.0, box_mm=LABEL_MAP_BOX_MM)


def individual(anatomy: Anatomy, rng: np.random.Generator) -> tuple[Anatomy, Deformation]:
    """One person's brain, and the deformation that leads to it from `anatomy`.

    Smooth displacements of about 2.5 mm (over 50 mm) and 1.2 mm (over 14 mm), ventricles up to 3 mm
    wider, sulci wider by a random share, borders between tissues moved by noise over 4.5 mm and
    sharpened. All chosen to look like different people.
    """
    deformation = _random_deformation(anatomy, rng)
    warped = deformation.warped(np.concatenate([anatomy.fractions, anatomy.ventricle_mm[None]]))
    fractions = warped[:-1]
    ventricle_mm = np.where(deformation.inside, warped[-1], _FAR_MM)
    if anatomy.sharpening > 1.0:
        fractions = _sharpened(fractions, anatomy, deformation.inside, rng)
    own = replace(anatomy, fractions=fractions, ventricle_mm=ventricle_mm, sharpening=1.0)
    return own, deformation


def _random_deformation(anatomy: Anatomy, rng: np.random.Generator) -> Deformation:
    grid = anatomy.grid
    reach = 1 + 2 * round(_REACH_MM / grid.spacing_mm[0])
    inside = ndimage.maximum_filter(anatomy.brain, size=reach) > 0.05
    apart = _gaussian(anatomy.ventricle_mm, 2.0 / grid.spacing_mm[0])
    widening_mm = rng.uniform(-0.3, 3.0)
    push = widening_mm * np.exp(-anatomy.ventricle_mm[inside] / 18.0)
    sources = np.argwhere(inside).astype(np.float32)
    for axis in range(3):
        spacing = grid.spacing_mm[axis]
        coarse = smooth_noise(rng, grid, scale_mm=50.0)
        fine = smooth_noise(rng, grid, scale_mm=14.0)
        outward = np.gradient(apart, spacing, axis=axis)[inside]
        moved_mm = 2.5 * coarse[inside] + 1.2 * fine[inside] - push * outward
        sources[:, axis] += np.clip(moved_mm, -_REACH_MM, _REACH_MM) / spacing
    return Deformation(inside, sources)


def _sharpened(
    fractions: Field, average: Anatomy, inside: BoolArray, rng: np.random.Generator
) -> Field:
    """Fractions raised to a power and weighted by noise, summing to the same brain."""
    mixed = fractions[:, inside]
    brain = mixed.sum(axis=0)
    weights = {"cortex": 1.0, "deep_grey": 1.0, "white": 1.0, "ventricle": 1.0}
    weights["csf"] = rng.uniform(*average.sulci)
    for index, tissue in enumerate(TISSUES):
        logarithm = np.log(np.maximum(mixed[index], 1e-6)) * average.sharpening
        if tissue in _NOISE:
            logarithm += _NOISE[tissue] * smooth_noise(rng, average.grid, scale_mm=4.5)[inside]
        mixed[index] = weights[tissue] * np.exp(logarithm)
    mixed *= brain / np.maximum(mixed.sum(axis=0), 1e-9)
    out = np.zeros_like(fractions)
    out[:, inside] = mixed
    return out


def _lateral_ventricles(fluid: Field, grid: PhantomGrid) -> Field:
    x, y, z = grid.coordinates_mm()
    behind_thalamus = (y < -28) & (np.abs(x) < 12) & (z < 12)
    box = (np.abs(x) < 46) & (y > -62) & (y < 40) & (z > -6) & (z < 36) & ~behind_thalamus
    parts, _ = ndimage.label((fluid > 0.4) & box)
    inside = (np.abs(x) < 22) & (np.abs(y + 5) < 15) & (np.abs(z - 21) < 6)
    sizes = np.bincount(parts[np.broadcast_to(inside, parts.shape)])
    sizes[0] = 0
    body = parts == sizes.argmax()
    return ndimage.binary_dilation(body, iterations=2).astype(np.float32)


def _deep_grey_region(grid: PhantomGrid) -> Field:
    """1 over caudate, putamen and thalamus, 0 at the insula, soft between."""
    x, y, z = grid.coordinates_mm()
    radius = ((np.abs(x) / 33.0) ** 4 + ((y + 6.0) / 34.0) ** 4 + ((z - 4.0) / 17.0) ** 4) ** 0.25
    region: Field = np.clip((1.08 - radius) / 0.12, 0.0, 1.0)
    return region


def _largest_part(mask: BoolArray) -> BoolArray:
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest: BoolArray = parts == sizes.argmax()
    return largest


def _distance_mm(ventricle: Field, grid: PhantomGrid) -> Field:
    distance: Field = ndimage.distance_transform_edt(
        ventricle < 0.5, sampling=grid.spacing_mm
    ).astype(np.float32)
    return distance


def _gaussian(field: Field, sigma: float) -> Field:
    out: Field = ndimage.gaussian_filter(field, sigma, truncate=3.0)
    return out


_REACH_MM = 8.0
"""No voxel comes from farther away than this along an axis."""
_AT_ONCE = 16_384
"""Voxels warped at a time: few enough for the processor's cache, which halves the time."""
_FAR_MM = np.float32(99.0)
_NOISE = {"cortex": 1.0, "deep_grey": 0.3, "white": 1.0, "csf": 0.8}
"""Standard deviation of the noise on each tissue's log weight; the ventricles stay as they are."""

_CORTEX_LABELS = (3, 42, 8, 47, 17, 53, 18, 54)
_DEEP_GREY_LABELS = (10, 49, 11, 50, 12, 51, 26, 58)
_VENTRICLE_LABELS = (4, 43, 5, 44, 31, 63, 136, 137, 163, 164)
_WHITE_LABELS = (2, 41, 7, 46, 13, 52, 16, 25, 57, 28, 60, 77, 85, *range(251, 256))
_TISSUE_LABELS = _CORTEX_LABELS + _DEEP_GREY_LABELS + _WHITE_LABELS + _VENTRICLE_LABELS + (14, 15)
"""FreeSurfer's labels by tissue. Brain stem, cerebellar white matter, ventral diencephalon and
pallidum look like white matter in FLAIR and T1w, hippocampus and amygdala like cortex; 25 and 57
are lesions of the person scanned; 136, 137, 163 and 164 line the lateral ventricles."""

_LANDMARKS_MM = {
    (2, 41): (27.0, -20.0, 20.0),
    (3, 42): (34.0, -23.0, 17.0),
    (4, 43): (15.0, -16.0, 16.0),
    (8, 47): (25.0, -64.0, -34.0),
    (10, 49): (11.0, -19.0, 7.0),
    (11, 50): (13.0, 9.0, 10.0),
    (12, 51): (25.0, 1.0, 0.0),
    (17, 53): (25.0, -22.0, -14.0),
    (18, 54): (23.0, -5.0, -18.0),
}
"""Left and right label -> about where the right one's centre lies in MNI space."""


def _cropped(volume: Volume, path: Path) -> tuple[Labels, FloatArray]:
    """The labels inside the box of the brain (10 voxels around it) and their affine."""
    labels = volume.data.astype(np.int32)
    inside = np.isin(labels, _TISSUE_LABELS)
    if not inside.any():
        raise SiteDataError(
            f"{path}: want a brain label map with FreeSurfer's labels, such as 2 and 41 for white "
            f"matter, found {np.unique(labels)[:10].tolist()}. Take it out of the folder."
        )
    low, high = [], []
    for axis in range(3):
        along = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        low.append(max(0, int(along[0]) - 10))
        high.append(int(along[-1]) + 11)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array(low)
    return labels[low[0] : high[0], low[1] : high[1], low[2] : high[2]], affine


def _mni_to_world(labels: Labels, affine: FloatArray, path: Path) -> FloatArray:
    """(4, 4), MNI mm -> the label map's own world mm, the best fit of 18 structures' centres."""
    own, mni = [], []
    for (left, right), (x, y, z) in _LANDMARKS_MM.items():
        for label, side in ((left, -1.0), (right, 1.0)):
            voxels = np.argwhere(labels == label)
            if len(voxels) == 0:
                raise SiteDataError(
                    f"{path}: want FreeSurfer label {label} to place the brain in MNI space, "
                    "found no voxel of it. Take the file out of the folder."
                )
            own.append(affine[:3, :3] @ voxels.mean(axis=0) + affine[:3, 3])
            mni.append((side * x, y, z, 1.0))
    fit, *_ = np.linalg.lstsq(np.array(mni), np.array(own), rcond=None)
    to_own = np.eye(4)
    to_own[:3] = fit.T
    return to_own
