"""The one interpolation of the chain: a working image, with its move, resampled onto a grid."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import cc3d
import numpy as np
import SimpleITK as sitk

from common.arrays import FloatArray
from common.errors import GeometryError
from common.imaging.grid import Grid, nearest_onto
from common.imaging.preprocessing.working_case import WorkingImage
from common.imaging.sitk_image import from_sitk, to_sitk
from common.imaging.volume import Volume, same_grid

ROUNDING = 1e-6
"""Share of a voxel that a box may be larger than its voxels: the last digits of a header."""


def resampled(
    image: WorkingImage, grid: Grid, *, interpolation: Literal["linear", "nearest"]
) -> Volume:
    """`image` on `grid`, a grid of the common space: interpolated once, its move included.

    linear    float32; for images. Each voxel takes the value at its centre, so a coarser grid
              does not average (chosen: a second smoothing would depend on the site's spacing)
    nearest   the type of the image, no value that it does not hold; for masks and labels

    0 outside the field of view, which reaches half a voxel beyond the outer centres. An image that
    lies on the grid already keeps its values. GeometryError where a grid is skew.
    """
    placed = _placed(image)
    if interpolation == "nearest":
        return nearest_onto(grid.filled(0), placed)
    if same_grid(placed, grid.filled(0)):  # else the zeros around a brain become 1e-12
        return Volume(placed.data.astype(np.float32), grid.affine)
    moving = to_sitk(Volume(placed.data.astype(np.float32, copy=False), placed.affine))
    onto = to_sitk(grid.filled(0))
    return Volume(
        from_sitk(sitk.Resample(moving, onto, sitk.Transform(), sitk.sitkLinear, 0.0)).data,
        grid.affine,
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ResampledLesions:
    """A lesion mask on its new grid, and what became of its lesions.

    volume      the labels, of the type they had
    n_before    lesions (26-connected) on the scanner's grid
    n_after     lesions on the new one
    n_vanished  lesions of which no voxel is left; fewer of them may still be fewer in `n_after`,
                where two became one
    """

    volume: Volume
    n_before: int
    n_after: int
    n_vanished: int

    @property
    def note(self) -> str | None:
        """The text of a finding where a lesion vanished, else None."""
        if not self.n_vanished:
            return None
        return (
            f"{self.n_vanished} of {self.n_before} lesions vanished in the resampling: smaller "
            "than a voxel of the new grid, or outside it"
        )


def resampled_lesions(lesions: WorkingImage, grid: Grid) -> ResampledLesions:
    """A lesion mask on `grid`, each voxel the nearest one's label, and a count of its lesions."""
    labels = resampled(lesions, grid, interpolation="nearest")
    numbered, n_before = _components(lesions.volume)
    left = resampled(
        WorkingImage(volume=numbered, to_common=lesions.to_common), grid, interpolation="nearest"
    )
    return ResampledLesions(
        volume=labels,
        n_before=n_before,
        n_after=_components(labels)[1],
        n_vanished=n_before - len(np.unique(left.data[left.data > 0])),
    )


def common_grid(
    reference: WorkingImage, brain: WorkingImage | None, *, spacing_mm: float, margin_mm: float
) -> Grid:
    """A grid of the common space around the brain, its axes along right, front and top.

    reference    shows how far the grid reaches where there is no brain: its whole field of view
    brain        bool, or None
    spacing_mm   edge of the cubic voxels, above 0
    margin_mm    at least so far beyond the outer faces of the brain's voxels on each side, 0 or
                 more; the grid may leave the field of view, where images are 0

    What the last voxels are too long by is shared between both ends. GeometryError: a spacing or a
    margin out of range, or a brain without a voxel.
    """
    if not (0 < spacing_mm < np.inf and 0 <= margin_mm < np.inf):
        raise GeometryError(
            "common grid: want a spacing above 0 and a margin of 0 mm or more, got "
            f"{spacing_mm!r} and {margin_mm!r}"
        )
    low, high = _box_mm(_placed(reference if brain is None else brain), brain is not None)
    low, high = low - margin_mm, high + margin_mm
    shape = np.ceil((high - low) / spacing_mm - ROUNDING).astype(int)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = (low + high) / 2 - (shape - 1) / 2 * spacing_mm
    i, j, k = (int(n) for n in shape)
    return Grid((i, j, k), affine)


def share_outside(brain: WorkingImage, image: WorkingImage) -> float:
    """Share of the brain's voxels whose centres lie outside the field of view of `image`, 0 to 1.

    brain   bool, with a voxel at least; the two moves place it and `image` in one common space
    """
    voxels = np.argwhere(brain.volume.data)
    if not len(voxels):
        raise GeometryError("want a brain mask with voxels, got an empty one")
    to_image = np.linalg.inv(_placed(image).affine) @ _placed(brain).affine
    index = voxels @ to_image[:3, :3].T + to_image[:3, 3]
    ends = np.array(image.volume.data.shape) - 0.5
    inside = ((index >= -0.5 - ROUNDING) & (index <= ends + ROUNDING)).all(axis=1)
    return float(1 - inside.mean())


def _placed(image: WorkingImage) -> Volume:
    """The same voxels in the common space: the move goes into the affine, nothing is moved."""
    return Volume(image.volume.data, image.to_common @ image.volume.affine)


def _components(labels: Volume) -> tuple[Volume, int]:
    """The lesions numbered from 1, 26-connected whatever their labels, and how many there are."""
    numbered, n = cc3d.connected_components(
        labels.data > 0, connectivity=26, binary_image=True, return_N=True
    )
    return Volume(numbered.astype(np.int32), labels.affine), int(n)


def _box_mm(volume: Volume, of_voxels: bool) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest world coordinates of the faces of its true voxels, or of all of them."""
    if of_voxels:
        index = np.argwhere(volume.data)
        if not len(index):
            raise GeometryError("common grid: want a brain mask with voxels, got an empty one")
    else:
        index = np.array(list(itertools.product(*[(0, n - 1) for n in volume.data.shape])))
    centres = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    half_voxel = np.abs(volume.affine[:3, :3]).sum(axis=1) / 2
    return centres.min(axis=0) - half_voxel, centres.max(axis=0) + half_voxel
