"""What becomes of the images that are not read: which case each belongs to, and what it blocks.

A subject whose images cannot be read is planned and left out, never overlooked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from common.errors import printable
from common.imaging.intake.bids_names import NamedFile, SiteNames, UnreadFile
from common.imaging.intake.findings import Finding, Level, first_of, on_folder

CaseKey = tuple[str, str | None]
"""Subject and session of a case."""


def unread_by_case(
    unread: Sequence[UnreadFile], read: Collection[CaseKey]
) -> tuple[dict[CaseKey, list[UnreadFile]], set[CaseKey]]:
    """The case that each unread image belongs to, and the cases to plan that have no other image.

    read   the cases with images that are read. An image that names no session belongs to its
           subject's only case; where there are several it shows no case of its own
    """
    known: dict[str, set[str | None]] = defaultdict(set)
    for subject, session in read:
        known[subject].add(session)
    planned: set[CaseKey] = set()
    owned: dict[CaseKey, list[UnreadFile]] = defaultdict(list)
    for file in sorted(unread, key=lambda file: file.session is None):
        if file.subject is None:
            continue
        sessions = known[file.subject]
        session = file.session
        if session is None and len(sessions) == 1:
            session = next(iter(sessions))
        if file.makes_a_case and (file.session is not None or not sessions):
            sessions.add(session)
            planned.add((file.subject, session))
        owned[file.subject, session].append(file)
    return owned, planned - set(read)


def blocking_unread(
    unread: Sequence[UnreadFile],
    images: Sequence[NamedFile],
    *,
    missing: Collection[str],
    missing_masks: Collection[str],
) -> list[UnreadFile]:
    """Those of a case's unread images without which it cannot be used.

    images          those that are read; without any, every unread image is one
    missing         modalities of which no image is read
    missing_masks   the `desc-` of the masks that count, and of which none is read
    """
    if not images:
        return [file for file in unread if file.makes_a_case]
    return [file for file in unread if _is_raw(file, missing) or _is_mask(file, missing_masks)]


def _is_raw(file: UnreadFile, modalities: Collection[str]) -> bool:
    others = {"ce", "space", "desc"} & set(file.name.entities)
    return file.makes_a_case and file.name.suffix in modalities and not others


def _is_mask(file: UnreadFile, descriptions: Collection[str]) -> bool:
    """A name that is refused is no mask's: it may be a draft's."""
    named = file.why.code != "name" and "space" not in file.name.entities
    is_mask = named and file.name.suffix == "mask"
    return is_mask and file.name.entities.get("desc") in descriptions


def unread_findings(level: Level, key: CaseKey, files: Sequence[UnreadFile]) -> Iterator[Finding]:
    """One finding for each reason that images of one case are not read."""
    by_reason: dict[tuple[str, str], list[UnreadFile]] = defaultdict(list)
    for file in files:
        by_reason[file.why.code, file.why.what].append(file)
    for (code, what), same in by_reason.items():
        between = " " if code == "wrong-folder" else ": "
        yield Finding(
            level=level,
            code=code,
            subject=key[0],
            session=key[1],
            text=f"{first_of([printable(file.shown) for file in same])}{between}{what}; not used",
            fix=same[0].why.fix,
        )


def unread_of_nobody(unread: Sequence[UnreadFile]) -> Iterator[Finding]:
    """A warning on the images that name no subject."""
    odd = [printable(file.shown) for file in unread if file.subject is None]
    if odd:
        yield on_folder(
            "warning",
            "name",
            text=f"{len(odd)} images have no BIDS name and are left out: {first_of(odd)}",
            fix="Name them like sub-01_ses-01_FLAIR.nii.gz (letters and digits in each label).",
        )


def bare_subjects(
    names: SiteNames, planned: Mapping[CaseKey, object]
) -> tuple[list[CaseKey], list[Finding]]:
    """The subject folders of which no case is planned yet: those to plan, and a finding on each.

    A subject with functional or diffusion images alone is no case, which a note says.
    """
    cases = {subject for subject, _ in planned}
    others = {file.subject for file in names.files if not (file.anatomical or file.derived)}
    more: list[CaseKey] = []
    findings: list[Finding] = []
    for folder in names.subjects:
        subject = printable(folder)
        if subject in cases:
            continue
        is_other = subject in others
        if not is_other:
            more.append((subject, None))
        findings.append(
            Finding(
                level="note" if is_other else "blocking",
                code="subject-without-images",
                subject=subject,
                session=None,
                text=f"no anatomical NIfTI image that can be read in the folder {subject}",
                fix="Nothing to do if that is meant; else add its images."
                if is_other
                else f"Add images such as {subject}_FLAIR.nii.gz (convert DICOM with dcm2niix, "
                "fetch what is linked), or move the folder to sourcedata/.",
            )
        )
    return more, findings
