"""Real brains and real lesions to make phantoms from, where somebody has them."""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel as nib
import numpy as np

from common.errors import SiteDataError
from common.imaging.phantom.grid import FIELD_OF_VIEW_MM, Field, Grid, covering, resampled
from common.imaging.volume import NIFTI_SUFFIXES, Volume, read_labels

log = logging.getLogger(__name__)

MNI_1MM = covering(FIELD_OF_VIEW_MM, (1.0, 1.0, 1.0))
"""The grid of the MNI152 images at 1 mm; files may run from left to right or from right to left."""


def nifti_files(folder: Path) -> list[Path]:
    """The NIfTI files in `folder` and below, by path; SiteDataError when there is none."""
    files = sorted(p for p in folder.rglob("*") if p.name.endswith(NIFTI_SUFFIXES))
    if not files:
        raise SiteDataError(
            f"{folder}: want NIfTI files ({' or '.join(NIFTI_SUFFIXES)}), found none. "
            "Check the path."
        )
    return files


def mni_lesion_masks(folder: Path) -> list[Path]:
    """Files in `folder` and below that are lesion masks on the MNI152 1 mm grid.

    Other grids, other values than 0 and 1 and masks without a lesion are passed over.
    """
    files = nifti_files(folder)
    masks = [path for path in files if _on_mni_grid(path) and _is_mask(read_labels(path))]
    if not masks:
        raise SiteDataError(
            f"{folder}: want lesion masks (0 and 1) on the MNI152 grid of "
            f"{MNI_1MM.shape} voxels of 1 mm, found none among {len(files)} NIfTI files. "
            "Register the masks to MNI152 and resample them with nearest neighbour."
        )
    log.info(
        "lesion masks", extra={"n_masks": len(masks), "n_passed_over": len(files) - len(masks)}
    )
    return masks


def lesion_share(path: Path, grid: Grid) -> Field:
    """The share of each voxel of `grid` that the mask in `path`, on the MNI grid, calls lesion."""
    volume = read_labels(path)
    data = (volume.data > 0).astype(np.float32)
    if volume.affine[0, 0] < 0:
        data = data[::-1]
    return resampled(data, MNI_1MM, grid)


def mirrored(field: Field) -> Field:
    """`field` with left and right exchanged; its grid must lie evenly about the midline."""
    return np.ascontiguousarray(field[::-1])


def _on_mni_grid(path: Path) -> bool:
    image = nib.load(path)
    affine = np.asarray(image.affine)
    if image.shape[:3] != MNI_1MM.shape or not np.allclose(np.abs(affine[:3, :3]), np.eye(3)):
        return False
    centre = affine[:3, :3] @ ((np.array(MNI_1MM.shape) - 1) / 2) + affine[:3, 3]
    own = MNI_1MM.affine[:3, :3] @ ((np.array(MNI_1MM.shape) - 1) / 2) + MNI_1MM.affine[:3, 3]
    # FSL's grid and its mirror differ by one voxel about x = 0.5
    return bool(np.allclose(centre, own, atol=1.01)) and affine[1, 1] > 0 and affine[2, 2] > 0


def _is_mask(volume: Volume) -> bool:
    return int(volume.data.max()) == 1
