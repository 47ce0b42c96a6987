"""A site's NIfTI files with the parts of their BIDS names, and the files that have none.

pybids takes the names apart. Its layout is not used: it drops a derivatives folder that lacks
`dataset_description.json`, so that a site's lesion masks would vanish with no more than a warning,
and it takes 10 s for 2000 images where this takes 1 s.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids.layout import Config, parse_file_entities

from common.errors import SiteDataError
from common.files import require_file
from common.imaging.intake.findings import Finding, first_of, on_folder
from common.imaging.volume import NIFTI_SUFFIXES

CENTRELINE = "_desc-centreline.tsv"
"""How the name of a spinal cord's centreline ends: the one table among the images."""

NOT_RAW = frozenset({"sourcedata", "code", "stimuli"})
"""Folders of a BIDS dataset that hold no images to learn from."""


@dataclass(frozen=True, slots=True)
class NamedFile:
    """One NIfTI file, or one centreline, with the parts of its name.

    shown      the path below the site's folder
    entities   pybids' names to labels: subject, session, suffix, space, desc, ceagent, ..
    derived    whether it lies under a `derivatives` folder
    """

    path: Path
    shown: str
    entities: Mapping[str, str]
    derived: bool

    @property
    def subject(self) -> str:
        return f"sub-{self.entities['subject']}"

    @property
    def session(self) -> str | None:
        label = self.entities.get("session")
        return None if label is None else f"ses-{label}"

    @property
    def is_mask(self) -> bool:
        return self.entities["suffix"] == "mask"

    @property
    def is_centreline(self) -> bool:
        return self.path.name.endswith(CENTRELINE)

    @property
    def makes_a_case(self) -> bool:
        anatomical = self.entities.get("datatype", "anat") == "anat"
        return anatomical and not (self.derived or self.is_mask or self.is_centreline)


def natural_order(label: str | None) -> list[tuple[int, int, str]]:
    """Sorts None first, and ses-2 before ses-10."""
    parts = re.split(r"(\d+)", label or "")
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def named_files(root: Path) -> tuple[list[NamedFile], list[Finding]]:
    """Every NIfTI file and centreline under `root` with a BIDS name, and findings on the others.

    In order of their paths. Hidden folders, `sourcedata`, `code` and `stimuli` are left out; linked
    folders are followed. Raises SiteDataError when `root` is not a folder.
    """
    if not root.is_dir():
        raise SiteDataError(
            f"{root}: no such folder. Give the folder that holds the sub-* folders."
        )
    paths, findings = files_below(root)
    endings = (*NIFTI_SUFFIXES, CENTRELINE)
    files, more = _parse(root, [path for path in paths if path.name.endswith(endings)])
    return files, [*findings, *more, *_dicom_findings(root, paths)]


def files_below(root: Path) -> tuple[list[Path], list[Finding]]:
    """Every file under `root`, sorted; linked folders are followed once, hidden ones not at all."""
    seen: set[str] = set()
    paths: list[Path] = []
    closed: list[OSError] = []
    for folder, inner, names in os.walk(root, onerror=closed.append, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        inner[:] = sorted(name for name in inner if name[0] != "." and name not in NOT_RAW)
        paths.extend(Path(folder, name) for name in names if name[0] != ".")
    findings = [
        on_folder(
            "warning",
            "closed-folder",
            text=f"cannot look into {Path(error.filename).relative_to(root)}: {error.strerror}",
            fix="Give the account that runs this command the right to read it.",
        )
        for error in closed
    ]
    return sorted(paths), findings


def _parse(root: Path, paths: Sequence[Path]) -> tuple[list[NamedFile], list[Finding]]:
    """The files whose names are BIDS, and findings on those whose are not."""
    known: dict[str, Any] = {}
    for name in ("bids", "derivatives"):
        known.update(Config.load(name).entities)
    files: list[NamedFile] = []
    odd: list[str] = []
    findings: list[Finding] = []
    for path in paths:
        shown = path.relative_to(root).as_posix()
        # the name alone: pybids would let a folder's label win over the file's
        entities = parse_file_entities(f"/{path.name}", entities=list(known.values()))
        if path.name.endswith(CENTRELINE):
            entities["suffix"] = "centreline"  # pybids finds none where desc- stands last
        if not {"subject", "suffix"} <= set(entities) or entities["extension"] not in (
            *NIFTI_SUFFIXES,
            ".tsv",
        ):
            odd.append(shown)
            continue
        entities = {key: str(value) for key, value in entities.items()}
        folders = path.relative_to(root).parts[:-1]
        if folders and folders[-1] in {"anat", "dwi", "func", "fmap", "perf", "pet", "swi"}:
            entities["datatype"] = folders[-1]
        file = NamedFile(path, shown, entities, "derivatives" in folders)
        misplaced = list(_misplaced(file, folders))
        findings.extend(misplaced)
        if not misplaced:
            files.append(file)
    if odd:
        findings.append(
            on_folder(
                "warning",
                "name",
                text=f"{len(odd)} NIfTI files have no BIDS name and are left out: {first_of(odd)}",
                fix="Name them like sub-01_ses-01_FLAIR.nii.gz (letters and digits in each label).",
            )
        )
    return files, findings


def _misplaced(file: NamedFile, folders: Sequence[str]) -> Iterator[Finding]:
    """A finding when a folder above the file names another subject or session than the file."""
    for prefix, label in (("sub-", file.subject), ("ses-", file.session)):
        above = [folder for folder in folders if folder.startswith(prefix)]
        if label is not None and any(folder != label for folder in above):
            yield Finding(
                level="warning",
                code="wrong-folder",
                subject=file.subject,
                session=file.session,
                text=f"{file.shown} lies in the folder of {above[-1]}; not used",
                fix="Find out whose image it is, then move or rename the file.",
            )


def _dicom_findings(root: Path, paths: Sequence[Path]) -> Iterator[Finding]:
    """One finding for each top folder that holds DICOM files, outside sourcedata/."""
    folders = Counter(path.relative_to(root).parts[0] for path in paths if _is_dicom(path))
    for folder, n_files in sorted(folders.items()):
        yield Finding(
            level="warning",
            code="dicom",
            subject=folder if folder.startswith("sub-") else None,
            session=None,
            text=f"{n_files} DICOM files in {folder}; only NIfTI is read",
            fix="Convert them with dcm2niix, name the results by BIDS, and keep the DICOM files "
            "out of this folder (or in sourcedata/).",
        )


def _is_dicom(path: Path) -> bool:
    if path.suffix.lower() in {".dcm", ".ima"} or path.name == "DICOMDIR":
        return True
    if path.suffix and not path.suffix[1:].isdigit():
        return False  # scanners name files IM0001 or 1.2.840.113; anything else is no DICOM
    try:
        require_file(path)
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
