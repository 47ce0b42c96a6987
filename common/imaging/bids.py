"""What the file names of a site's BIDS folder say: its cases, their images and their masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from common.imaging.bids_names import NamedFile, named_files
from common.imaging.findings import Finding, Level, case_name, few
from common.imaging.participants import read_participants, without_images


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFiles:
    """The files of one subject-session, by name alone; none has been opened.

    subject      "sub-01"
    session      "ses-01", or None where the site has no sessions
    images       modality -> file, for each wanted modality of which there is exactly one
    lesion_mask  the `desc-lesion_mask` of this case, or None
    brain_mask   the `desc-brain_mask` of this case, or None
    diagnosis    from participants.tsv, or None
    cord_mask    the `desc-cord_mask` of this case, or None
    centreline   the `desc-centreline.tsv` of this case: nodes of the spinal cord, or None
    """

    subject: str
    session: str | None
    images: Mapping[str, Path]
    lesion_mask: Path | None
    brain_mask: Path | None
    diagnosis: str | None
    cord_mask: Path | None = None
    centreline: Path | None = None


@dataclass(frozen=True, slots=True)
class SiteFiles:
    """The cases of one site in order of their names, and what the names alone give away.

    elsewhere   subject -> its masks with `space-`, for subjects with images; none is used
    """

    cases: tuple[CaseFiles, ...]
    findings: tuple[Finding, ...]
    elsewhere: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)


def list_cases(root: Path, modalities: Sequence[str]) -> SiteFiles:
    """Every case under `root`, with the findings its file names give rise to.

    modalities   BIDS suffixes such as ("FLAIR", "T1w")
    A case is a subject-session with an anatomical image outside `derivatives/`. A `ce-` file never
    stands in for a modality, nor does a file with `space-` or `desc-`. Masks may lie anywhere; one
    without a session belongs to its subject's only case, one with `space-` lies on another grid
    and is not used. A centreline's table goes where a mask would.
    Raises SiteDataError when `root` is not a folder.
    """
    files, findings = named_files(root)
    diagnoses, more = read_participants(root / "participants.tsv")
    findings.extend(more)
    by_case: dict[tuple[str, str | None], list[NamedFile]] = defaultdict(list)
    for file in files:
        if file.makes_a_case:
            by_case[file.subject, file.session].append(file)
    here = [
        file
        for file in files
        if (file.is_mask or file.is_centreline) and "space" not in file.entities
    ]
    masks, more = _masks_by_case(here, list(by_case))
    findings.extend(more)
    elsewhere = _masks_elsewhere([file for file in files if file.is_mask], set(by_case))
    findings.extend(_told_elsewhere(elsewhere))
    cases = []
    for key in sorted(by_case, key=lambda key: (key[0], key[1] or "")):
        case, more = _case(key, by_case[key], masks[key], modalities, diagnoses.get(key[0]))
        cases.append(case)
        findings.extend(more)
    imaged = {subject for subject, _ in by_case}
    findings.extend(without_images(sorted(set(diagnoses) - imaged)))
    return SiteFiles(tuple(cases), tuple(findings), elsewhere)


def _masks_by_case(
    masks: Sequence[NamedFile], cases: Sequence[tuple[str, str | None]]
) -> tuple[dict[tuple[str, str | None], list[NamedFile]], list[Finding]]:
    """The masks that belong to each case, and findings on those that belong to none."""
    sessions: dict[str, list[str | None]] = defaultdict(list)
    for subject, session in cases:
        sessions[subject].append(session)
    owned: dict[tuple[str, str | None], list[NamedFile]] = defaultdict(list)
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
    masks: Sequence[NamedFile], cases: Set[tuple[str, str | None]]
) -> dict[str, tuple[Path, ...]]:
    """Subject with images -> its masks that are, by their names, on another grid."""
    by_subject: dict[str, list[Path]] = defaultdict(list)
    imaged = {subject for subject, _ in cases}
    for mask in masks:
        if "space" in mask.entities and mask.subject in imaged:
            by_subject[mask.subject].append(mask.path)
    return {subject: tuple(paths) for subject, paths in sorted(by_subject.items())}


def _told_elsewhere(elsewhere: Mapping[str, Sequence[Path]]) -> Iterator[Finding]:
    """One note for each subject with such masks."""
    for subject, paths in elsewhere.items():
        yield Finding(
            level="note",
            code="mask-elsewhere",
            subject=subject,
            session=None,
            text="masks with space- in their names lie on a grid of their own and are not used: "
            + few([path.name for path in paths]),
            fix="To use one, resample it onto the image with nearest neighbour and drop space-.",
        )


def _case(
    key: tuple[str, str | None],
    images: Sequence[NamedFile],
    masks: Sequence[NamedFile],
    modalities: Sequence[str],
    diagnosis: str | None,
) -> tuple[CaseFiles, list[Finding]]:
    subject, session = key
    findings: list[Finding] = []

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
    cord_mask = only([mask for mask in masks if _is_mask(mask, "cord")], "cord mask")
    centreline = only([file for file in masks if file.is_centreline], "centreline")
    if not any(_is_mask(mask, "lesion") for mask in masks):
        known = {"brain", "cord", "centreline"}
        others = [mask.path.name for mask in masks if mask.entities.get("desc") not in known]
        found = f"; not used: {few(others)}" if others else ""
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
        cord_mask=cord_mask,
        centreline=centreline,
    )
    return case, findings


def _is_raw(file: NamedFile, modality: str) -> bool:
    return file.entities["suffix"] == modality and not {"ceagent", "space", "desc"} & set(
        file.entities
    )


def _is_mask(file: NamedFile, description: str) -> bool:
    return file.entities.get("desc") == description
