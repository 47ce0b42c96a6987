"""What the file names of a site's BIDS folder say: its cases, their images and their masks.

Names are taken apart by pybids. Its layout is not used: it drops a derivatives folder that lacks
`dataset_description.json`, so that a site's lesion masks would vanish with no more than a warning,
and it takes 10 s for 2000 images where this takes 1 s.
"""

from __future__ import annotations

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids.layout import Config, parse_file_entities

from common.errors import SiteDataError
from common.imaging.findings import Finding, Level, case_name
from common.imaging.volume import NIFTI_SUFFIXES

NOT_RAW = frozenset({"sourcedata", "code", "stimuli"})
"""Folders of a BIDS dataset that hold no images to learn from."""

SHOWN = 5
"""File names spelled out in one finding; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFiles:
    """The files of one subject-session, by name alone; none has been opened.

    subject      "sub-01"
    session      "ses-01", or None where the site has no sessions
    images       modality -> file, for each wanted modality of which there is exactly one
    lesion_mask  the `desc-lesion_mask` of this case, or None
    brain_mask   the `desc-brain_mask` of this case, or None
    diagnosis    from participants.tsv, or None
    """

    subject: str
    session: str | None
    images: Mapping[str, Path]
    lesion_mask: Path | None
    brain_mask: Path | None
    diagnosis: str | None


@dataclass(frozen=True, slots=True)
class SiteFiles:
    """The cases of one site in order of their names, and what the names alone give away."""

    cases: tuple[CaseFiles, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _File:
    """One NIfTI file with the parts of its name."""

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
    def makes_a_case(self) -> bool:
        anatomical = self.entities.get("datatype", "anat") == "anat"
        return anatomical and not self.derived and not self.is_mask


def list_cases(root: Path, modalities: Sequence[str]) -> SiteFiles:
    """Every case under `root`, with the findings its file names give rise to.

    modalities   BIDS suffixes such as ("FLAIR", "T1w")
    A case is a subject-session with an anatomical image outside `derivatives/`. A `ce-` file never
    stands in for a modality, nor does a file with `space-` or `desc-`. Masks may lie anywhere; one
    without a session belongs to its subject's only case, one with `space-` lies on another grid
    and is not used. Raises SiteDataError when `root` is not a folder.
    """
    if not root.is_dir():
        raise SiteDataError(
            f"{root}: no such folder. Give the folder that holds the sub-* folders."
        )
    paths, findings = _walk(root)
    files, more = _parse(root, [path for path in paths if path.name.endswith(NIFTI_SUFFIXES)])
    findings.extend(more)
    findings.extend(_dicom_findings(root, paths))
    diagnoses, more = _read_participants(root / "participants.tsv")
    findings.extend(more)
    by_case: dict[tuple[str, str | None], list[_File]] = defaultdict(list)
    for file in files:
        if file.makes_a_case:
            by_case[file.subject, file.session].append(file)
    here = [file for file in files if file.is_mask and "space" not in file.entities]
    masks, more = _masks_by_case(here, list(by_case))
    findings.extend(more)
    findings.extend(_masks_elsewhere([file for file in files if file.is_mask], set(by_case)))
    cases = []
    for key in sorted(by_case, key=lambda key: (key[0], key[1] or "")):
        case, more = _case(key, by_case[key], masks[key], modalities, diagnoses.get(key[0]))
        cases.append(case)
        findings.extend(more)
    imaged = {subject for subject, _ in by_case}
    findings.extend(_without_images(sorted(set(diagnoses) - imaged)))
    return SiteFiles(tuple(cases), tuple(findings))


def _walk(root: Path) -> tuple[list[Path], list[Finding]]:
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
        _on_folder(
            "warning",
            "closed-folder",
            f"cannot look into {Path(error.filename).relative_to(root)}: {error.strerror}",
            "Give the account that runs this command the right to read it.",
        )
        for error in closed
    ]
    return sorted(paths), findings


def _parse(root: Path, paths: Sequence[Path]) -> tuple[list[_File], list[Finding]]:
    """The files whose names are BIDS, and findings on those whose are not."""
    known: dict[str, Any] = {}
    for name in ("bids", "derivatives"):
        known.update(Config.load(name).entities)
    files: list[_File] = []
    odd: list[str] = []
    findings: list[Finding] = []
    for path in paths:
        shown = path.relative_to(root).as_posix()
        # the name alone: pybids would let a folder's label win over the file's
        entities = parse_file_entities(f"/{path.name}", entities=list(known.values()))
        if (
            not {"subject", "suffix"} <= set(entities)
            or entities["extension"] not in NIFTI_SUFFIXES
        ):
            odd.append(shown)
            continue
        entities = {key: str(value) for key, value in entities.items()}
        folders = path.relative_to(root).parts[:-1]
        if folders and folders[-1] in {"anat", "dwi", "func", "fmap", "perf", "pet", "swi"}:
            entities["datatype"] = folders[-1]
        file = _File(path, shown, entities, "derivatives" in folders)
        misplaced = list(_misplaced(file, folders))
        findings.extend(misplaced)
        if not misplaced:
            files.append(file)
    if odd:
        findings.append(
            _on_folder(
                "warning",
                "name",
                f"{len(odd)} NIfTI files have no BIDS name and are left out: {_few(odd)}",
                "Name them like sub-01_ses-01_FLAIR.nii.gz (letters and digits in each label).",
            )
        )
    return files, findings


def _misplaced(file: _File, folders: Sequence[str]) -> Iterator[Finding]:
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


def _masks_by_case(
    masks: Sequence[_File], cases: Sequence[tuple[str, str | None]]
) -> tuple[dict[tuple[str, str | None], list[_File]], list[Finding]]:
    """The masks that belong to each case, and findings on those that belong to none."""
    sessions: dict[str, list[str | None]] = defaultdict(list)
    for subject, session in cases:
        sessions[subject].append(session)
    owned: dict[tuple[str, str | None], list[_File]] = defaultdict(list)
    findings = []
    for mask in masks:
        of_subject = sessions.get(mask.subject, [])
        if mask.session in of_subject:
            owned[mask.subject, mask.session].append(mask)
        elif mask.session is None and len(of_subject) == 1:
            owned[mask.subject, of_subject[0]].append(mask)
        else:
            found = ", ".join(str(session) for session in of_subject) or "none"
            findings.append(
                Finding(
                    level="warning",
                    code="mask-without-images",
                    subject=mask.subject,
                    session=mask.session,
                    text=f"{mask.path.name} fits no session with images (found: {found}); not used",
                    fix="Add the session's label to the mask's name, or add the missing images.",
                )
            )
    return owned, findings


def _masks_elsewhere(
    masks: Sequence[_File], cases: Set[tuple[str, str | None]]
) -> Iterator[Finding]:
    """One note for each subject whose masks are, by their names, on another grid."""
    by_subject: dict[str, list[str]] = defaultdict(list)
    imaged = {subject for subject, _ in cases}
    for mask in masks:
        if "space" in mask.entities and mask.subject in imaged:
            by_subject[mask.subject].append(mask.path.name)
    for subject, names in sorted(by_subject.items()):
        yield Finding(
            level="note",
            code="mask-elsewhere",
            subject=subject,
            session=None,
            text="masks with space- in their names lie on a grid of their own and are not used: "
            + _few(names),
            fix="To use one, resample it onto the image with nearest neighbour and drop space-.",
        )


def _case(
    key: tuple[str, str | None],
    images: Sequence[_File],
    masks: Sequence[_File],
    modalities: Sequence[str],
    diagnosis: str | None,
) -> tuple[CaseFiles, list[Finding]]:
    subject, session = key
    findings: list[Finding] = []

    def note(level: Level, code: str, text: str, fix: str) -> None:
        findings.append(
            Finding(level=level, code=code, subject=subject, session=session, text=text, fix=fix)
        )

    def only(choices: Sequence[_File], what: str) -> Path | None:
        if len(choices) > 1:
            names = ", ".join(file.shown for file in choices)
            note(
                "blocking",
                "several-files",
                f"want one {what}, found {len(choices)}: {names}",
                "Keep the one to use and move the others to sourcedata/.",
            )
        return choices[0].path if len(choices) == 1 else None

    chosen = {}
    for modality in modalities:
        choices = [file for file in images if _is_raw(file, modality)]
        if (path := only(choices, modality)) is not None:
            chosen[modality] = path
        if not choices:
            found = ", ".join(file.path.name for file in images)
            enhanced = any("ceagent" in file.entities for file in images)
            hint = " (a contrast-enhanced ce- image does not count)" if enhanced else ""
            note(
                "blocking",
                "missing-modality",
                f"no {modality} image; found {found}{hint}",
                f"Add {case_name(subject, session)}_{modality}.nii.gz, or leave {modality} out of "
                "the recipe's task.modalities.",
            )
    lesion_mask = only([mask for mask in masks if _is_mask(mask, "lesion")], "lesion mask")
    brain_mask = only([mask for mask in masks if _is_mask(mask, "brain")], "brain mask")
    if not any(_is_mask(mask, "lesion") for mask in masks):
        others = [mask.path.name for mask in masks if not _is_mask(mask, "brain")]
        found = f"; not used: {_few(others)}" if others else ""
        note(
            "note",
            "no-lesion-mask",
            f"no lesion mask: the case can join the statistics, not the training{found}",
            f"To train on it, add {case_name(subject, session)}_desc-lesion_mask.nii.gz under "
            "derivatives/, on the grid of the images.",
        )
    case = CaseFiles(
        subject=subject,
        session=session,
        images=chosen,
        lesion_mask=lesion_mask,
        brain_mask=brain_mask,
        diagnosis=diagnosis,
    )
    return case, findings


def _is_raw(file: _File, modality: str) -> bool:
    return file.entities["suffix"] == modality and not {"ceagent", "space", "desc"} & set(
        file.entities
    )


def _is_mask(file: _File, description: str) -> bool:
    return file.entities.get("desc") == description


def _read_participants(path: Path) -> tuple[dict[str, str | None], list[Finding]]:
    """Subject -> diagnosis from participants.tsv, which may be absent."""
    if not path.exists():
        return {}, []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
            if rows and None in (row.get("participant_id") for row in rows):
                raise ValueError("no column participant_id in every row")
    except (OSError, ValueError, csv.Error) as error:
        return {}, [
            _on_folder(
                "warning",
                "participants",
                f"participants.tsv cannot be read, so nobody counts as a control: {error}",
                "Save it as tab-separated UTF-8 with the columns participant_id and diagnosis.",
            )
        ]
    diagnoses: dict[str, str | None] = {}
    for row in rows:
        subject = "sub-" + row["participant_id"].strip().removeprefix("sub-")
        diagnosis = (row.get("diagnosis") or "").strip()
        diagnoses[subject] = diagnosis if diagnosis not in ("", "n/a") else None
    return diagnoses, []


def _without_images(subjects: Sequence[str]) -> Iterator[Finding]:
    if subjects:
        yield _on_folder(
            "note",
            "participant-without-images",
            f"{len(subjects)} subjects of participants.tsv have no images: {_few(subjects)}",
            "Nothing to do if that is meant; else add their sub-* folders.",
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
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _on_folder(level: Level, code: str, text: str, fix: str) -> Finding:
    return Finding(level=level, code=code, subject=None, session=None, text=text, fix=fix)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
