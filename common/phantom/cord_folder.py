"""One subject of a cord phantom on disk: the T2w as prepared, its masks and its centreline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from common.arrays import BoolArray, FloatArray
from common.imaging.centreline import COLUMNS
from common.imaging.intake.bids_names import CENTRELINE
from common.imaging.volume import Volume, write_volume
from common.phantom.site_folder import ParticipantRow


def write_cord_subject(
    site: Path,
    label: str,
    *,
    image: Volume,
    slice_mm: float,
    slice_axis: int,
    lesion: BoolArray,
    cord: BoolArray,
    nodes: FloatArray,
) -> ParticipantRow:
    """Write one subject's T2w, masks and centreline below `site`; returns its participants' line.

    lesion, cord   (i, j, k) on the image's grid; lesion may be empty, and is written all the same
    nodes          (n, 3), the centreline, RAS+ world mm
    """
    folder = site / label / "anat"
    folder.mkdir(parents=True)
    write_volume(image, folder / f"{label}_T2w.nii.gz")
    about = {
        "BodyPart": "SPINE",
        "SliceThickness": slice_mm,
        "SliceOrientation": {0: "sagittal", 2: "axial"}[slice_axis],
        "Simulated": True,
    }
    _write_json(folder / f"{label}_T2w.json", about)
    masks = site / "derivatives" / "lesions" / label / "anat"
    masks.mkdir(parents=True)
    for mask, name, text in (
        (lesion, "lesion", {"Type": "Lesion", "Description": _WITHOUT_ERROR.format("lesion")}),
        (cord, "cord", {"Type": "ROI", "Description": _WITHOUT_ERROR.format("spinal cord")}),
    ):
        stem = f"{label}_desc-{name}_mask"
        write_volume(Volume(mask, image.affine), masks / f"{stem}.nii.gz")
        _write_json(masks / f"{stem}.json", text)
    lines = ["\t".join(COLUMNS), *("\t".join(f"{value:.3f}" for value in node) for node in nodes)]
    (masks / f"{label}{CENTRELINE}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _, n_lesions = ndimage.label(lesion, structure=np.ones((3, 3, 3)))
    load_ml = int(np.count_nonzero(lesion)) * image.voxel_volume_mm3 / 1000
    return ParticipantRow(
        participant_id=label,
        site=site.name,
        diagnosis="MS-RR" if n_lesions else "healthy",
        lesion_count=int(n_lesions),
        lesion_ml=f"{load_ml:.3f}",
    )


_WITHOUT_ERROR = "more than half of the voxel is {}; simulated, so without error"


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
