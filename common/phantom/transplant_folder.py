"""A site of transplanted lesions on disk: a BIDS dataset with its masks and what was done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from common.imaging.volume import Volume, write_volume

RECORD_FILE = "transplant.json"
"""At the root of the site: seed, side, and of each case its source and its lesions' source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransplantCase:
    """One case that was written.

    subject, session   "sub-01", "ses-02"
    source             the case whose tissue it is
    about              where its lesions come from, for the record
    n_lesions          26-connected, of the reference
    lesion_ml          volume of the reference
    """

    subject: str
    session: str
    source: str
    about: Mapping[str, Any]
    n_lesions: int = 0
    lesion_ml: float = 0.0


def write_transplant(
    site: Path,
    case: TransplantCase,
    *,
    images: Mapping[str, Volume],
    reference: Volume,
    brain: Volume,
) -> TransplantCase:
    """Writes one case's images and masks below `site`; returns it with its lesions counted.

    images   BIDS suffix -> image
    """
    stem = f"{case.subject}_{case.session}"
    folder = site / case.subject / case.session / "anat"
    masks = site / "derivatives" / "lesions" / case.subject / case.session / "anat"
    for new in (folder, masks):
        new.mkdir(parents=True)
    for suffix, image in images.items():
        write_volume(image, folder / f"{stem}_{suffix}.nii.gz")
        about = {"SkullStripped": True, "Description": _IMAGE, "Lesions": case.about["lesions"]}
        _write_json(folder / f"{stem}_{suffix}.json", about)
    for mask, name, kind in ((reference, "lesion", "Lesion"), (brain, "brain", "Brain")):
        write_volume(mask, masks / f"{stem}_desc-{name}_mask.nii.gz")
        _write_json(masks / f"{stem}_desc-{name}_mask.json", {"Type": kind})
    _, n_lesions = ndimage.label(reference.data, structure=np.ones((3, 3, 3)))
    lesion_ml = float(np.count_nonzero(reference.data)) * reference.voxel_volume_mm3 / 1000.0
    return replace(case, n_lesions=int(n_lesions), lesion_ml=lesion_ml)


def write_description(site: Path, cases: Sequence[TransplantCase], *, seed: int, side: str) -> None:
    """Writes participants.tsv, the dataset's descriptions and the record of a site."""
    subjects = sorted({case.subject for case in cases})
    lines = ["participant_id\tdiagnosis\tn_sessions\n"]
    for subject in subjects:
        n = sum(case.subject == subject for case in cases)
        lines.append(f"{subject}\tn/a\t{n}\n")
    (site / "participants.tsv").write_text("".join(lines), encoding="utf-8")
    _write_json(site / "participants.json", _COLUMNS)
    for folder, kind in ((site, "raw"), (site / "derivatives" / "lesions", "derivative")):
        _write_json(folder / "dataset_description.json", {**_DATASET, "DatasetType": kind})
    record = {
        f"{case.subject}_{case.session}": {
            "source": case.source,
            "n_lesions": case.n_lesions,
            "lesion_ml": round(case.lesion_ml, 3),
            **case.about,
        }
        for case in cases
    }
    _write_json(site / RECORD_FILE, {"seed": seed, "side": side, "cases": record})


_IMAGE = "a real image, as it was prepared; its lesions, if any, are transplanted"
_DATASET = {
    "Name": "Real images without lesions, into which lesions were transplanted",
    "BIDSVersion": "1.9.0",
    "GeneratedBy": [{"Name": "lesionfed-site transplant"}],
}
_COLUMNS = {
    "diagnosis": {"Description": "not said: one session has no lesions, the others transplants"},
    "n_sessions": {"Description": "copies of this one brain"},
}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
