"""One phantom site on disk: a BIDS dataset with masks under derivatives/ and its scanner beside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from common.arrays import BoolArray
from common.imaging.volume import Volume, write_volume
from common.phantom.grid import PhantomGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantRow:
    """One line of participants.tsv."""

    participant_id: str
    site: str
    diagnosis: str
    lesion_count: int
    lesion_ml: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpRow(ParticipantRow):
    """One line of the participants.tsv of a site whose subjects were scanned twice."""

    n_new_lesions: int
    new_lesion_ml: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Session:
    """What one date of a subject leaves on disk.

    images     BIDS suffix -> image
    slice_mm   BIDS suffix -> slice thickness
    """

    images: Mapping[str, Volume]
    slice_mm: Mapping[str, float]
    lesion: BoolArray
    brain: BoolArray


def write_subject(
    site: Path,
    label: str,
    *,
    images: Mapping[str, Volume],
    slice_mm: Mapping[str, float],
    lesion: BoolArray,
    brain: BoolArray,
    grid: PhantomGrid,
) -> ParticipantRow:
    """Write one subject's images and masks below `site`; returns its participants.tsv line.

    images     BIDS suffix -> image
    slice_mm   BIDS suffix -> slice thickness
    """
    _write_images(site / label / "anat", label, images, slice_mm)
    masks = _derivatives(site) / label / "anat"
    masks.mkdir(parents=True)
    _write_mask(masks / f"{label}_desc-lesion_mask", lesion, grid, _LESION_MASK)
    _write_mask(masks / f"{label}_desc-brain_mask", brain, grid, {"Type": "Brain"})
    n_lesions, load_ml = _burden(lesion, grid)
    return ParticipantRow(
        participant_id=label,
        site=site.name,
        diagnosis="MS-RR" if n_lesions else "healthy",
        lesion_count=n_lesions,
        lesion_ml=load_ml,
    )


def write_follow_up(
    site: Path,
    label: str,
    *,
    sessions: tuple[Session, Session],
    new: BoolArray,
    rated: Sequence[BoolArray],
    grid: PhantomGrid,
) -> FollowUpRow:
    """Write a subject's ses-01 and ses-02 below `site`; returns its participants.tsv line.

    new     lesions of ses-02 that ses-01 lacks
    rated   the same as each rater drew them
    """
    for name, session in zip(("ses-01", "ses-02"), sessions, strict=True):
        stem = f"{label}_{name}"
        _write_images(site / label / name / "anat", stem, session.images, session.slice_mm)
        masks = _derivatives(site) / label / name / "anat"
        masks.mkdir(parents=True)
        _write_mask(masks / f"{stem}_desc-lesion_mask", session.lesion, grid, _LESION_MASK)
        _write_mask(masks / f"{stem}_desc-brain_mask", session.brain, grid, {"Type": "Brain"})
    _write_mask(masks / f"{stem}_desc-newlesion_mask", new, grid, _NEW_LESION_MASK)
    for number, mask in enumerate(rated, start=1):
        about = {
            "Type": "Lesion",
            "Description": f"lesions of ses-02 that ses-01 lacks, by simulated rater {number}",
        }
        _write_mask(masks / f"{stem}_desc-newlesionRater{number}_mask", mask, grid, about)
    n_lesions, load_ml = _burden(sessions[1].lesion, grid)
    n_new, new_ml = _burden(new, grid)
    return FollowUpRow(
        participant_id=label,
        site=site.name,
        diagnosis="MS-RR",
        lesion_count=n_lesions,
        lesion_ml=load_ml,
        n_new_lesions=n_new,
        new_lesion_ml=new_ml,
    )


def write_tables(site: Path, *, rows: Sequence[ParticipantRow], phantom: Mapping[str, Any]) -> None:
    """Write participants.tsv, the dataset descriptions and phantom.json of a site."""
    header = [field.name for field in fields(rows[0])]
    lines = [header, *([str(getattr(row, name)) for name in header] for row in rows)]
    text = "".join("\t".join(line) + "\n" for line in lines)
    (site / "participants.tsv").write_text(text, encoding="utf-8")
    _write_json(site / "participants.json", {k: v for k, v in _COLUMNS.items() if k in header})
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
_NEW_LESION_MASK = {
    "Type": "Lesion",
    "Description": "lesions of ses-02 that ses-01 lacks; enlarged ones are not in it; simulated, "
    "so without error",
}
_COLUMNS = {
    "site": {"Description": "the phantom site"},
    "diagnosis": {"Levels": {"MS-RR": "has lesions", "healthy": "has none"}},
    "lesion_count": {"Description": "26-connected components of the lesion mask"},
    "lesion_ml": {"Description": "volume of the lesion mask", "Units": "mL"},
    "n_new_lesions": {"Description": "26-connected components of the new-lesion mask"},
    "new_lesion_ml": {"Description": "volume of the new-lesion mask", "Units": "mL"},
}
"""With two sessions, lesion_count and lesion_ml are those of the later one."""


def _derivatives(site: Path) -> Path:
    return site / "derivatives" / "lesions"


def _write_images(
    folder: Path, stem: str, images: Mapping[str, Volume], slice_mm: Mapping[str, float]
) -> None:
    folder.mkdir(parents=True)
    for suffix, image in images.items():
        write_volume(image, folder / f"{stem}_{suffix}.nii.gz")
        about = {
            "SkullStripped": True,
            "SpatialReference": "MNI152",
            "SliceThickness": slice_mm[suffix],
            "Simulated": True,
        }
        _write_json(folder / f"{stem}_{suffix}.json", about)


def _burden(mask: BoolArray, grid: PhantomGrid) -> tuple[int, str]:
    """How many 26-connected lesions a mask holds, and their volume in mL as the table has it."""
    _, n_lesions = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    load_ml = float(np.count_nonzero(mask) * np.prod(grid.spacing_mm) / 1000.0)
    return int(n_lesions), f"{load_ml:.2f}"


def _write_mask(stem: Path, mask: BoolArray, grid: PhantomGrid, about: Mapping[str, Any]) -> None:
    write_volume(Volume(mask, grid.affine), stem.with_name(f"{stem.name}.nii.gz"))
    _write_json(stem.with_name(f"{stem.name}.json"), about)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
