"""A case whose lesions were drawn on slices of 6 mm, prepared on a grid of 2 mm; worked by hand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from common.arrays import BoolArray, FloatArray
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.volume import Volume, read_mask, read_volume, write_volume
from tests.toy_sites import scanner_affine
from tests.volumes import oblique_affine

SCANNER_SHAPE = (20, 16, 4)
SCANNER_SPACING_MM = (1.0, 1.0, 6.0)
PREPARED_SHAPE = (12, 10, 10)
CROP_START, CROP = (1, 1, 1), (9, 7, 8)


def move() -> FloatArray:
    """The rigid move that takes voxel (i, j, k) of the oblique scanner to (i, j, 6 k) mm."""
    affine = oblique_affine(SCANNER_SPACING_MM)
    return np.asarray(np.diag([*SCANNER_SPACING_MM, 1.0]) @ np.linalg.inv(affine))


def drawn_lesions() -> BoolArray:
    """A of 4 x 4 x 1 voxels, 96 mm3, and B of one voxel, 6 mm3, on odd numbers along i and j."""
    lesions = np.zeros(SCANNER_SHAPE, bool)
    lesions[4:8, 4:8, 1] = True
    lesions[13, 9, 2] = True
    return lesions


def prepared_lesions() -> BoolArray:
    """What the nearest voxel makes of them: prepared voxel (a, b, c) lies at (2 a, 2 b, 2 c) mm.

    That is in scanner voxel (2 a, 2 b, k) with k = 1 for c from 2 to 4: A becomes 2 x 2 x 3
    voxels, again 96 mm3, and B, on odd voxels, is lost.
    """
    lesions = np.zeros(PREPARED_SHAPE, bool)
    lesions[2:4, 2:4, 2:5] = True
    return lesions


def write_drawn(
    folder: Path, *, lesions: BoolArray | None = None, to_common: FloatArray | None = None
) -> tuple[Path, Path]:
    """The two references as `prepare` leaves them: the drawn one and the prepared one."""
    affine = oblique_affine(SCANNER_SPACING_MM)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = folder / "sub-01_space-scanner_desc-lesion_mask.nii.gz"
    prepared = folder / "sub-01_desc-lesion_mask.nii.gz"
    write_volume(Volume(drawn_lesions() if lesions is None else lesions, affine), drawn)
    write_volume(Volume(prepared_lesions(), prepared_affine()), prepared)
    _write_sidecar(drawn, prepared, move() if to_common is None else to_common)
    return drawn, prepared


def draw_on_thick_slices(bids: Path, subject: str) -> None:
    """A reference of every second slice beside the subject's own, in a site of `tests/toy_sites`.

    The whole site gets axes at right angles, as those of a prepared folder always are.
    """
    for file in bids.rglob("*.nii.gz"):
        volume = read_mask(file) if "mask" in file.name else read_volume(file)
        write_volume(Volume(volume.data, scanner_affine(1)), file)
    prepared = bids / "derivatives" / "manual" / subject / "anat"
    prepared = prepared / f"{subject}_desc-lesion_mask.nii.gz"
    drawn = prepared.with_name(f"{subject}_space-scanner_desc-lesion_mask.nii.gz")
    thick = scanner_affine(1) @ np.diag([1.0, 1.0, 2.0, 1.0])
    write_volume(Volume(read_mask(prepared).data[:, :, ::2], thick), drawn)
    _write_sidecar(drawn, prepared, np.eye(4))


def prepared_affine() -> FloatArray:
    return np.diag([2.0, 2.0, 2.0, 1.0])


def prepared_case(drawn_reference: tuple[Path, Path] | None) -> PreparedCase:
    """The case on a crop of the prepared grid that is all brain; its image is 3 throughout."""
    box = tuple(slice(a, a + n) for a, n in zip(CROP_START, CROP, strict=True))
    return PreparedCase(
        subject="sub-01",
        session=None,
        control=False,
        image=np.full((1, *CROP), 3, np.float32),
        brain=np.ones(CROP, bool),
        lesions=prepared_lesions()[box],
        crop_start=CROP_START,
        grid_shape=PREPARED_SHAPE,
        affine=prepared_affine(),
        drawn_reference=drawn_reference,
    )


def _write_sidecar(drawn: Path, prepared: Path, to_common: FloatArray) -> None:
    record = {
        "SHA256": hashlib.sha256(drawn.read_bytes()).hexdigest(),
        "PreparedSHA256": hashlib.sha256(prepared.read_bytes()).hexdigest(),
        "ScannerToCommon": to_common.tolist(),
    }
    sidecar = drawn.with_name(drawn.name.replace(".nii.gz", ".json"))
    sidecar.write_text(json.dumps({"LesionFed": record}), encoding="utf-8")
