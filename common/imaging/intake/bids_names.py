"""A site's images with the parts of their BIDS names, and the images that are not read.

The folder is walked here and not by pybids, whose layout drops a derivatives folder that lacks
`dataset_description.json`; names are taken apart by `common/imaging/bids_name.py`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import SiteDataError, printable
from common.files import require_file
from common.imaging.bids_name import (
    LETTERS_AND_DIGITS,
    BidsName,
    folder_labels,
    is_label,
    raw_label,
    read_name,
)
from common.imaging.intake.findings import Finding, on_folder
from common.imaging.unread_files import (
    OF_OTHER_USE,
    Unread,
    is_image_name,
    stands_for,
    why_unread,
)
from common.imaging.volume import NIFTI_SUFFIXES

CENTRELINE = "_desc-centreline.tsv"
"""How the name of a spinal cord's centreline ends: the one table among the images."""

NOT_RAW = frozenset({"sourcedata", "code", "stimuli"})
"""Folders of a BIDS dataset that hold no images to learn from."""

_OTHER_DATA = frozenset({"dwi", "func", "fmap", "perf", "pet", "swi"})
"""Folders of a subject whose images are not anatomical."""


@dataclass(frozen=True, slots=True)
class NamedFile:
    """One NIfTI file that may be opened, or one centreline, with the parts of its name.

    shown      the path below the site's folder
    subject    "sub-01"
    session    "ses-02", from the name or else from its folder; None where neither has one
    derived    whether it lies under a `derivatives` folder
    anatomical whether its folder is not one of other images: func, dwi, ..
    """

    path: Path
    shown: str
    name: BidsName
    subject: str
    session: str | None
    derived: bool
    anatomical: bool

    @property
    def is_mask(self) -> bool:
        return self.name.suffix == "mask"

    @property
    def is_centreline(self) -> bool:
        return self.path.name.endswith(CENTRELINE)

    @property
    def makes_a_case(self) -> bool:
        return self.anatomical and not (self.derived or self.is_mask or self.is_centreline)


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """One image that is there and is not read: by its name, its place, its format or its content.

    shown      the path below the site's folder
    name       as far as it can be read
    subject    "sub-01", or what stands in its place, in name or folder; None where nothing does
    session    the same; what is no label stays as it is written, so that two visits stay two
    why        code, reason and remedy
    """

    shown: str
    name: BidsName
    subject: str | None
    session: str | None
    derived: bool
    anatomical: bool
    why: Unread

    @property
    def makes_a_case(self) -> bool:
        """Whether it shows a case to plan, though nothing of it is read."""
        misplaced = self.why.code == "wrong-folder"  # its case is one of two, and not known
        is_image = self.name.suffix != "mask" and self.name.ending.lower() != ".tsv"
        return is_image and self.anatomical and not (self.derived or misplaced)


@dataclass(frozen=True, slots=True)
class SiteNames:
    """Every image of a site's folder, read or not, in order of their paths.

    subjects   the names of all subject folders outside `derivatives`, whatever they hold
    """

    files: tuple[NamedFile, ...]
    unread: tuple[UnreadFile, ...]
    subjects: tuple[str, ...]
    findings: tuple[Finding, ...]


def natural_order(label: str | None) -> list[tuple[int, int, str]]:
    """Sorts None first, and ses-2 before ses-10; of any length, as no number of Python's is."""
    parts = re.split(r"([0-9]+)", label or "")
    return [
        (1, len(digits := part.lstrip("0")), digits) if part.isdecimal() else (0, 0, part)
        for part in parts
    ]


def named_files(root: Path) -> SiteNames:
    """Every image and centreline under `root`, those that are read and those that are not.

    Hidden folders, `sourcedata`, `code` and `stimuli` are left out; linked folders are followed.
    Raises SiteDataError when `root` is not a folder.
    """
    if not root.is_dir():
        raise SiteDataError(
            f"{root}: no such folder. Give the folder that holds the sub-* folders."
        )
    paths, subjects, findings = _walk(root)
    files: list[NamedFile] = []
    unread: list[UnreadFile] = []
    for path in paths:
        if path.name.endswith(CENTRELINE) or (
            is_image_name(path.name) and stands_for(path) == path
        ):
            file = _named(path, root)
            if isinstance(file, NamedFile):
                files.append(file)
            elif file is not None:
                unread.append(file)
    findings.extend(_dicom_findings(root, paths))
    return SiteNames(tuple(files), tuple(unread), tuple(subjects), tuple(findings))


def files_below(root: Path) -> tuple[list[Path], list[Finding]]:
    """Every file under `root`, sorted; linked folders are followed once, hidden ones not at all."""
    paths, _, findings = _walk(root)
    return paths, findings


def _walk(root: Path) -> tuple[list[Path], list[str], list[Finding]]:
    """Every file, the subject folders outside `derivatives`, and findings on closed folders.

    A folder is walked under its own path first and under a link to it only where it has none, so
    that no link takes the place of what it points to.
    """
    seen: set[str] = set()
    paths: list[Path] = []
    subjects: set[str] = set()
    closed: list[OSError] = []
    starts = [str(root)]
    while starts:
        links: list[str] = []
        for start in starts:
            for folder, inner, names in os.walk(start, onerror=closed.append):
                real = os.path.realpath(folder)
                if real in seen:
                    inner.clear()
                    continue
                seen.add(real)
                derived = "derivatives" in Path(folder).relative_to(root).parts
                kept = [name for name in inner if name[0] != "." and name not in NOT_RAW]
                linked = [name for name in kept if os.path.islink(os.path.join(folder, name))]
                links.extend(os.path.join(folder, name) for name in linked)
                inner[:] = sorted(set(kept) - set(linked))
                paths.extend(Path(folder, name) for name in names if name[0] != ".")
                if not derived:
                    subjects.update(filter(_is_subject, kept))
                    named = (n for n in names if _is_subject(n) and not os.path.splitext(n)[1])
                    subjects.update(n for n in named if os.path.islink(os.path.join(folder, n)))
        starts = sorted(links)
    findings = [
        on_folder(
            "warning",
            "closed-folder",
            text=f"cannot look into {Path(error.filename).relative_to(root)}: {error.strerror}",
            fix="Give the account that runs this command the right to read it.",
        )
        for error in closed
    ]
    return sorted(paths), sorted(subjects), findings


def _is_subject(folder: str) -> bool:
    return folder[:4].lower() == "sub-" and not is_image_name(folder)


def _named(path: Path, root: Path) -> NamedFile | UnreadFile | None:
    """One image by its name, its place and its content; None for another program's own file.

    Images of other formats without a BIDS name are such below `derivatives`: FreeSurfer's .mgz;
    arrays and pictures without one are anywhere.
    """
    folders = path.relative_to(root).parts[:-1]
    name = read_name(path.name)
    labels = dict(folder_labels(folders))  # of two folders the inner one
    derived = "derivatives" in folders
    subject = raw_label("sub", path.name) or labels.get("sub")
    session = raw_label("ses", path.name) or labels.get("ses")
    is_other = name.ending not in (*NIFTI_SUFFIXES, ".tsv") and "sub" not in name.entities
    if is_other and (derived or name.ending.lower() in OF_OTHER_USE):
        return None
    shown = path.relative_to(root).as_posix()
    why = _why_refused(name, shown, folders) or (
        None if path.name.endswith(CENTRELINE) else why_unread(path)
    )
    anatomical = not folders or folders[-1] not in _OTHER_DATA
    if why is not None:
        return UnreadFile(
            shown=shown,
            name=name,
            subject=None if subject is None else printable(f"sub-{subject}"),
            session=None if session is None else printable(f"ses-{session}"),
            derived=derived,
            anatomical=anatomical,
            why=why,
        )
    return NamedFile(
        path=path,
        shown=shown,
        name=name,
        subject=f"sub-{subject}",
        session=None if session is None else f"ses-{session}",
        derived=derived,
        anatomical=anatomical,
    )


def _why_refused(name: BidsName, shown: str, folders: Sequence[str]) -> Unread | None:
    """What is wrong with a file's name, or with the folders above it."""
    if not _is_utf8(shown):
        return Unread(
            "name",
            "the name is not UTF-8",
            "Rename it in letters and digits; convmv -f latin1 -t utf8 shows what it was.",
        )
    fault = name.fault
    if fault is None and "sub" not in name.entities:
        fault = "no BIDS name: no sub- in it"
    if fault is None and name.suffix is None and not shown.endswith(CENTRELINE):
        fault = "no BIDS name: nothing such as FLAIR or mask after the last _"
    if fault is not None:
        renamed = name.suggested or f"sub-01_ses-01_FLAIR{NIFTI_SUFFIXES[0]}"
        fix = f"Rename it like {renamed} (letters and digits in each label)."
        return Unread("name", fault, fix)
    for entity, label in folder_labels(folders):
        if not is_label(label):
            fix = f"Rename the folder {entity}-{label}."
            return Unread("name", f"in the folder {entity}-{label}: {LETTERS_AND_DIGITS}", fix)
    own = dict(folder_labels(folders)) | dict(name.entities)
    for entity, label in folder_labels(folders):
        if label != own[entity]:
            fix = "Find out whose image it is, then move or rename the file."
            return Unread("wrong-folder", f"lies in the folder of {entity}-{label}", fix)
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _dicom_findings(root: Path, paths: Sequence[Path]) -> Iterator[Finding]:
    """One finding for each top folder that holds DICOM files, outside sourcedata/."""
    folders = Counter(path.relative_to(root).parts[0] for path in paths if _is_dicom(path))
    for folder, n_files in sorted(folders.items()):
        yield Finding(
            level="warning",
            code="dicom",
            subject=folder if _is_subject(folder) else None,
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
