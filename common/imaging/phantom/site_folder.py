"""One phantom site on disk: a BIDS dataset with masks under derivatives/ and its scanner beside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from common.imaging.phantom.grid import Grid
from common.imaging.volume import Volume, write_volume

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of participants.tsv."""

    participant_id: str
    site: str
    diagnosis: str
    lesion_count: int
    lesion_ml: str


def write_subject(
    site: Path,
    label: str,
    *,
    images: Mapping[str, Volume],
    slice_mm: Mapping[str, float],
    lesion: Mask,
    brain: Mask,
    grid: Grid,
) -> Row:
    """Write one subject's images and masks below `site`; returns its participants.tsv line.

    images     BIDS suffix -> image
    slice_mm   BIDS suffix -> slice thickness
    """
    folder = site / label / "anat"
    folder.mkdir(parents=True)
    for suffix, image in images.items():
        write_volume(image, folder / f"{label}_{suffix}.nii.gz")
        about = {
            "SkullStripped": True,
            "SpatialReference": "MNI152",
            "SliceThickness": slice_mm[suffix],
            "Simulated": True,
        }
        _write_json(folder / f"{label}_{suffix}.json", about)
    masks = _derivatives(site) / label / "anat"
    masks.mkdir(parents=True)
    _write_mask(masks / f"{label}_desc-lesion_mask", lesion, grid, _LESION_MASK)
    _write_mask(masks / f"{label}_desc-brain_mask", brain, grid, {"Type": "Brain"})
    _, n_lesions = ndimage.label(lesion, structure=np.ones((3, 3, 3)))
    load_ml = float(np.count_nonzero(lesion) * np.prod(grid.spacing_mm) / 1000.0)
    return Row(
        participant_id=label,
        site=site.name,
        diagnosis="MS-RR" if n_lesions else "healthy",
        lesion_count=int(n_lesions),
        lesion_ml=f"{load_ml:.2f}",
    )


def write_tables(site: Path, *, rows: Sequence[Row], phantom: Mapping[str, Any]) -> None:
    """Write participants.tsv, the dataset descriptions and phantom.json of a site."""
    header = Row.__slots__
    lines = [header, *([str(getattr(row, name)) for name in header] for row in rows)]
    text = "".join("\t".join(line) + "\n" for line in lines)
    (site / "participants.tsv").write_text(text, encoding="utf-8")
    _write_json(site / "participants.json", _COLUMNS)
    _write_json(
        site / "dataset_description.json",
        {"Name": f"{site.name}: phantoms, no person's images", "DatasetType": "raw", **_MADE_BY},
    )
    _write_json(
        _derivatives(site) / "dataset_description.json",
        {"Name": f"{site.name}: lesions and brain", "DatasetType": "derivative", **_MADE_BY},
    )
    _write_json(site / "phantom.json", phantom)


_MADE_BY = {"BIDSVersion": "1.9.0", "GeneratedBy": [{"Name": "lesionfed phantom"}]}
_LESION_MASK = {
    "Type": "Lesion",
    "Description": "more than half of the voxel is lesion; simulated, so without error",
}
_COLUMNS = {
    "site": {"Description": "the phantom site"},
    "diagnosis": {"Levels": {"MS-RR": "has lesions", "healthy": "has none"}},
    "lesion_count": {"Description": "26-connected components of the lesion mask"},
    "lesion_ml": {"Description": "volume of the lesion mask", "Units": "mL"},
}


def _derivatives(site: Path) -> Path:
    return site / "derivatives" / "lesions"


def _write_mask(stem: Path, mask: Mask, grid: Grid, about: Mapping[str, Any]) -> None:
    write_volume(Volume(mask, grid.affine), stem.with_name(f"{stem.name}.nii.gz"))
    _write_json(stem.with_name(f"{stem.name}.json"), about)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
