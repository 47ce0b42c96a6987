"""What the file names of a site's BIDS folder say: its cases, their images and their masks.

Every subject folder is a case, or has a finding: one whose images are not read is left out by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from common.imaging.bids_name import disagreeing, values_of
from common.imaging.intake.bids_names import NamedFile, UnreadFile, named_files, natural_order
from common.imaging.intake.findings import Finding, Level, case_name, first_of
from common.imaging.intake.missing_modality import missing_modality
from common.imaging.intake.participants import read_participants, without_images
from common.imaging.intake.unread_images import (
    CaseKey,
    bare_subjects,
    blocking_unread,
    unread_by_case,
    unread_findings,
    unread_of_nobody,
)
from common.recipe.task import Task

REFERENCE = {"lesions": "lesion", "new-lesions": "newlesion"}
"""A recipe's target -> the `desc-` of its reference; a rater's own mask has Rater1, .. after it."""


ON_THE_SCANNER = "scanner"
"""The `space-` of a prepared case's reference on the grid it was drawn on; no mask of the case."""

_OF_THE_CASE = frozenset({"sub", "ses"})
"""Entities that a case's files share: a mask without a session may be of its subject's only one."""

WITHOUT_REFERENCE = frozenset({"no-lesion-mask", "missing-rater"})
"""Findings on a session without the masks that are learned from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFiles:
    """The files of one subject-session, by name alone; none has been opened.

    subject      "sub-01"
    session      "ses-01", or None where the site has no sessions
    images       modality -> file, for each wanted modality of which there is exactly one
    lesion_mask  the reference: the `desc-lesion_mask` of this case, or what the target wants in its
                 place; or None
    brain_mask   the `desc-brain_mask` of this case, or None
    diagnosis    from participants.tsv, or None
    cord_mask    the `desc-cord_mask` of this case, or None
    centreline   the `desc-centreline.tsv` of this case: nodes of the spinal cord, or None
    rater_masks  "lesionRater1" -> that rater's own mask, in order, of those asked for and there
    """

    subject: str
    session: str | None
    images: Mapping[str, Path]
    lesion_mask: Path | None
    brain_mask: Path | None
    diagnosis: str | None
    cord_mask: Path | None = None
    centreline: Path | None = None
    rater_masks: Mapping[str, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Subject and session as in file names: `sub-01_ses-02`, or `sub-01`."""
        return case_name(self.subject, self.session)


@dataclass(frozen=True, slots=True)
class SiteFiles:
    """The cases of one site in order of their names, and what the names alone give away.

    elsewhere   subject -> its masks with `space-`, for subjects with images; none is used
    """

    cases: tuple[CaseFiles, ...]
    findings: tuple[Finding, ...]
    elsewhere: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)


def list_cases(root: Path, task: Task) -> SiteFiles:
    """Every subject-session under `root`, with the findings its file names give rise to.

    task   its modalities, and whose masks of what: see `REFERENCE`
    A case is a subject-session with an anatomical image outside `derivatives/`. A `ce-` file never
    stands in for a modality, nor does a file with `space-` or `desc-`. Masks may lie anywhere; one
    without a session belongs to its subject's only case, one with `space-` lies on another grid
    and is not used. A centreline's table goes where a mask would. For new lesions, where a subject
    has two sessions, a mask of them without a session belongs to the later one, and a brain mask
    without a session to both.
    Raises SiteDataError when `root` is not a folder.
    """
    names = named_files(root)
    findings = list(names.findings)
    diagnoses, more = read_participants(root / "participants.tsv")
    findings.extend(more)
    by_case: dict[CaseKey, list[NamedFile]] = defaultdict(list)
    for file in names.files:
        if file.makes_a_case:
            by_case[file.subject, file.session].append(file)
    read = set(by_case)
    unread, unread_only = unread_by_case(names.unread, read)
    by_case |= {key: [] for key in unread_only}
    here = [
        file
        for file in names.files
        if (file.is_mask or file.is_centreline) and "space" not in file.name.entities
    ]
    masks, more = _masks_by_case(here, list(by_case), task)
    findings.extend(more)
    elsewhere = _masks_elsewhere([file for file in names.files if file.is_mask], read)
    findings.extend(_notes_elsewhere(elsewhere))
    bare, more = bare_subjects(names, by_case)
    findings.extend([*more, *unread_of_nobody(names.unread)])
    by_case |= {key: [] for key in bare}
    cases: list[CaseFiles] = []
    for key in sorted(by_case, key=lambda key: (key[0], natural_order(key[1]))):
        is_first = not cases or cases[-1].subject != key[0]
        case, more = _case(
            key, by_case[key], masks[key], unread.pop(key, []), task, diagnoses.get(key[0])
        )
        if is_first and task.dates == 2:  # nothing is new at the first date
            more = [finding for finding in more if finding.code not in WITHOUT_REFERENCE]
        cases.append(case)
        findings.extend(more)
    for key, files in unread.items():
        findings.extend(unread_findings("warning", key, files))
    imaged = {subject for subject, _ in by_case}
    findings.extend(without_images(sorted(set(diagnoses) - imaged)))
    return SiteFiles(tuple(cases), tuple(findings), elsewhere)


def _masks_by_case(
    masks: Sequence[NamedFile], cases: Sequence[CaseKey], task: Task
) -> tuple[dict[CaseKey, list[NamedFile]], list[Finding]]:
    """The masks that belong to each case, and findings on those that belong to none."""
    sessions: dict[str, list[str | None]] = defaultdict(list)
    for subject, session in cases:
        sessions[subject].append(session)
    owned: dict[CaseKey, list[NamedFile]] = defaultdict(list)
    findings = []
    for mask in masks:
        of_subject = sorted(sessions.get(mask.subject, []), key=natural_order)
        is_pair = task.dates == 2 and len(of_subject) == 2
        if mask.session in of_subject:
            owned[mask.subject, mask.session].append(mask)
        elif mask.session is None and len(of_subject) == 1:
            owned[mask.subject, of_subject[0]].append(mask)
        elif mask.session is None and is_pair and _is_mask(mask, "brain"):
            for session in of_subject:
                owned[mask.subject, session].append(mask)
        elif mask.session is None and is_pair and _is_reference(mask, task):
            owned[mask.subject, of_subject[1]].append(mask)
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


def _masks_of_images(
    masks: Sequence[NamedFile], images: Sequence[NamedFile], task: Task
) -> tuple[list[NamedFile], list[Finding]]:
    """The masks that may be of these images, and a warning on each that is of another one.

    A mask agrees with one image in every entity that both have (run, acq, ..), and has in none of
    them a label that is none of the images'.
    """
    raw = [file for file in images if any(_is_raw(file, name) for name in task.modalities)]
    fitting: list[NamedFile] = []
    findings: list[Finding] = []
    for mask in masks:
        entity = _entity_of_none(mask, raw)
        if entity is None:
            fitting.append(mask)
            continue
        labels = [file.name.entities[entity] for file in raw if entity in file.name.entities]
        findings.append(
            Finding(
                level="warning",
                code="mask-without-images",
                subject=mask.subject,
                session=mask.session,
                text=f"{mask.path.name} is of another image: its {entity} is "
                f"{mask.name.entities[entity]}, the images have {first_of(labels)}; not used",
                fix="Rename the mask, or keep the image that it was drawn on.",
            )
        )
    return fitting, findings


def _entity_of_none(mask: NamedFile, images: Sequence[NamedFile]) -> str | None:
    """The entity in which a mask is of none of the images; None where it may be of one."""
    found = [values_of(file.name.entities) for file in images]
    own = {e: label for e, label in values_of(mask.name.entities).items() if e not in _OF_THE_CASE}
    for entity, label in own.items():
        if label not in (labels := {one[entity] for one in found if entity in one}) and labels:
            return entity
    conflicts = [disagreeing(own, one) for one in found]
    return conflicts[0] if conflicts and all(conflicts) else None


def _masks_elsewhere(
    masks: Sequence[NamedFile], cases: Set[CaseKey]
) -> dict[str, tuple[Path, ...]]:
    """Subject with images -> its masks that are, by their names, on another grid."""
    by_subject: dict[str, list[Path]] = defaultdict(list)
    imaged = {subject for subject, _ in cases}
    for mask in masks:
        space = mask.name.entities.get("space", ON_THE_SCANNER)
        if space != ON_THE_SCANNER and mask.subject in imaged:
            by_subject[mask.subject].append(mask.path)
    return {subject: tuple(paths) for subject, paths in sorted(by_subject.items())}


def _notes_elsewhere(elsewhere: Mapping[str, Sequence[Path]]) -> Iterator[Finding]:
    """One note for each subject with such masks."""
    for subject, paths in elsewhere.items():
        yield Finding(
            level="note",
            code="mask-elsewhere",
            subject=subject,
            session=None,
            text="masks with space- in their names lie on a grid of their own and are not used: "
            + first_of([path.name for path in paths]),
            fix="To use one, resample it onto the image with nearest neighbour and drop space-.",
        )


def _case(
    key: CaseKey,
    images: Sequence[NamedFile],
    masks: Sequence[NamedFile],
    unread: Sequence[UnreadFile],
    task: Task,
    diagnosis: str | None,
) -> tuple[CaseFiles, list[Finding]]:
    subject, session = key
    wanted_masks = {REFERENCE[task.target], *rater_labels(task), "brain", "cord"}
    blocking = blocking_unread(
        unread,
        images,
        missing={m for m in task.modalities if not any(_is_raw(file, m) for file in images)},
        missing_masks=wanted_masks - {mask.name.entities.get("desc") for mask in masks},
    )
    findings = [*unread_findings("blocking", key, blocking)]
    findings.extend(unread_findings("warning", key, [f for f in unread if f not in blocking]))
    if not images:  # left out: a finding says why
        nothing = CaseFiles(
            subject=subject,
            session=session,
            images={},
            lesion_mask=None,
            brain_mask=None,
            diagnosis=diagnosis,
        )
        return nothing, findings
    masks, more = _masks_of_images(masks, images, task)
    findings.extend(more)
    explained = {file.name.suffix for file in blocking}

    def note(level: Level, code: str, text: str, fix: str) -> None:
        findings.append(
            Finding(level=level, code=code, subject=subject, session=session, text=text, fix=fix)
        )

    def only(choices: Sequence[NamedFile], what: str) -> Path | None:
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
    for modality in task.modalities:
        choices = [file for file in images if _is_raw(file, modality)]
        if (path := only(choices, modality)) is not None:
            chosen[modality] = path
        if not choices and modality not in explained:
            found = ", ".join(file.path.name for file in images)
            enhanced = any("ce" in file.name.entities for file in images)
            hint = " (a contrast-enhanced ce- image does not count)" if enhanced else ""
            findings.append(
                missing_modality(
                    modality,
                    task,
                    subject=subject,
                    session=session,
                    text=f"no {modality} image; found {found}{hint}",
                    add=f"Add {case_name(subject, session)}_{modality}.nii.gz",
                )
            )
    reference, what = REFERENCE[task.target], reference_text(task)
    lesion_mask = only([mask for mask in masks if _is_mask(mask, reference)], what)
    raters = {}
    for rater in rater_labels(task):
        own = only([mask for mask in masks if _is_mask(mask, rater)], f"{rater} mask")
        if own is not None:
            raters[rater] = own
    brain_mask = only([mask for mask in masks if _is_mask(mask, "brain")], "brain mask")
    cord_mask = only([mask for mask in masks if _is_mask(mask, "cord")], "cord mask")
    centreline = only([file for file in masks if file.is_centreline], "centreline")
    if not any(_is_mask(mask, reference) for mask in masks):
        known = {"brain", "cord", "centreline"}
        others = [mask.path.name for mask in masks if mask.name.entities.get("desc") not in known]
        found = f"; not used: {first_of(others)}" if others else ""
        note(
            "note",
            "no-lesion-mask",
            f"no {what}: the case can join the statistics, not the training{found}",
            f"To train on it, add {case_name(subject, session)}_desc-{reference}_mask.nii.gz under "
            "derivatives/, on the grid of the images.",
        )
    elif absent := [rater for rater in rater_labels(task) if rater not in raters]:
        note(
            "note",
            "missing-rater",
            f"want the masks of {task.raters} raters; missing: {', '.join(absent)}",
            "Nothing to do: their outputs learn from "
            f"{'the raters who are there' if raters else 'the consensus'}. To give each its own, "
            f"add {case_name(subject, session)}_desc-{absent[0]}_mask.nii.gz"
            f"{' and so on' if len(absent) > 1 else ''}.",
        )
    case = CaseFiles(
        subject=subject,
        session=session,
        images=chosen,
        lesion_mask=lesion_mask,
        brain_mask=brain_mask,
        diagnosis=diagnosis,
        cord_mask=cord_mask,
        centreline=centreline,
        rater_masks=raters,
    )
    return case, findings


def reference_text(task: Task) -> str:
    """What the reference is called in a sentence."""
    return "new-lesion mask" if task.target == "new-lesions" else "lesion mask"


def rater_labels(task: Task) -> tuple[str, ...]:
    """The `desc-` of each rater's own mask, in order: "newlesionRater1", "newlesionRater2", .."""
    return tuple(f"{REFERENCE[task.target]}Rater{n}" for n in range(1, task.raters + 1))


def _is_raw(file: NamedFile, modality: str) -> bool:
    """Whether a file is the scanner's own image of a modality: its magnitude, without contrast."""
    entities = file.name.entities
    plain = not {"ce", "space", "desc"} & set(entities) and entities.get("part", "mag") == "mag"
    return plain and file.name.suffix == modality


def _is_reference(mask: NamedFile, task: Task) -> bool:
    return any(_is_mask(mask, label) for label in (REFERENCE[task.target], *rater_labels(task)))


def _is_mask(file: NamedFile, description: str) -> bool:
    return file.name.entities.get("desc") == description
