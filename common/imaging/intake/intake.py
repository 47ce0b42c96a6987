"""Is a site's data usable? Every case opened and looked at once, every finding collected.

    survey(root, *, task, raw=False, mapping=None, thorough=False, on_case=None) -> Intake

There are two kinds of readiness. As it is, a folder can be trained on when a case's images lie on
one grid and show a brain alone. With `raw=True` it is judged as what `lesionfed-site prepare` is
given: modalities on grids of their own, heads with their skulls, masks on any modality's grid.
Sessions are looked at one by one; for new lesions two of them make a case to train on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common.errors import SiteDataError
from common.imaging.intake.bids import SiteFiles, list_cases
from common.imaging.intake.case_checks import CHECKS, RAW_CHECKS, Check
from common.imaging.intake.case_facts import CaseFacts, case_facts
from common.imaging.intake.duplicates import Digest, case_digests, same_voxels
from common.imaging.intake.face import faces_are_reported
from common.imaging.intake.field_of_view import brain_fits_the_image
from common.imaging.intake.findings import Finding, as_text
from common.imaging.intake.geometry_checks import (
    grids_elsewhere,
    orientations_agree,
    sidecar_fits_the_header,
    slices_are_thin,
)
from common.imaging.intake.header_checks import headers_are_consistent
from common.imaging.intake.intensity_checks import (
    brightest_is_not_clipped,
    lesions_are_plausible,
    tissues_are_in_order,
    values_have_room,
)
from common.imaging.intake.left_right import no_modality_is_mirrored
from common.imaging.intake.mapping import mapped_cases
from common.imaging.intake.privacy_checks import what_names_somebody
from common.imaging.intake.session_checks import sessions_are_in_order
from common.imaging.intake.session_pairs import joined_sessions, other_grids, planned_cases
from common.imaging.intake.usable_case import UsableCase, open_case, usable_case
from common.recipe.task import Task

log = logging.getLogger(__name__)

OnCase = Callable[[int, int], None]

REVIEW_CHECKS: tuple[Check, ...] = (
    headers_are_consistent,
    orientations_agree,
    slices_are_thin,
    sidecar_fits_the_header,
    brain_fits_the_image,
    no_modality_is_mirrored,
    brightest_is_not_clipped,
    values_have_room,
    tissues_are_in_order,
    lesions_are_plausible,
    faces_are_reported,
)
"""What a person should look at before a case is used: warnings and notes alone, so that training
and `check` quarantine the same cases."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What a site can use and what was found on the way.

    usable       cases without a blocking finding, by name
    findings     by case, those on the whole folder first
    quarantined  names of the cases left out
    facts        what the files of every case hold, by name; empty unless the survey was thorough
    """

    usable: tuple[UsableCase, ...]
    findings: tuple[Finding, ...]
    quarantined: tuple[str, ...]
    facts: tuple[CaseFacts, ...] = ()


def examine(root: Path, *, task: Task, raw: bool = False, on_case: OnCase | None = None) -> Intake:
    """The usable cases under `root`, at least one, with all findings.

    As `survey`, but raises SiteDataError with every finding when no case is usable.
    """
    intake = survey(root, task=task, raw=raw, on_case=on_case)
    if not intake.usable:
        dates = " of two dates" if task.dates == 2 and not raw else ""
        wanted = [name for name in task.modalities if name not in task.optional_modalities]
        raise SiteDataError(
            f"{root}: want at least one usable case with {', '.join(wanted)}{dates}, "
            "found none. "
            f"What was found:\n{as_text(intake.findings)}"
        )
    return intake


def survey(
    root: Path,
    *,
    task: Task,
    raw: bool = False,
    mapping: Path | None = None,
    thorough: bool = False,
    on_case: OnCase | None = None,
) -> Intake:
    """All cases under `root`, sorted into usable and quarantined, with every finding.

    root         a BIDS folder, or any folder where there is a `mapping`; SiteDataError when
                 there is none
    task         its modalities; a session that lacks one is left out, unless that is optional. Its
                 target: for new lesions a case is a session with the one before it, see
                 `session_pairs`
    raw          judge the cases as input of `prepare`: modalities may lie on different grids, no
                 image need be stripped, a mask lies on the grid of any modality or is absent, and
                 each session is a case, whatever the target
    mapping      a table that says which file is which, see `common/imaging/intake/mapping.py`
    thorough     also look for what a person has to decide (flips, privacy, duplicates, ..) and
                 collect the facts; what is usable does not depend on it
    on_case      called after each case with the number done and the number of cases
    Every image is read once; one case is in memory at a time. A case with a blocking finding is
    quarantined, the rest continues.
    """
    if mapping is None:
        site = list_cases(root, task)
    else:
        site = mapped_cases(mapping, root=root, task=task)
    checks = (*(RAW_CHECKS if raw else CHECKS), *(REVIEW_CHECKS if thorough else ()))
    findings = list(site.findings)
    if not site.cases:
        findings.append(_no_images(root))
    if thorough or task.dates == 2:
        findings.extend(sessions_are_in_order(root, site, task))
    usable: list[UsableCase] = []
    quarantined: list[str] = []
    facts: list[CaseFacts] = []
    digests: list[Digest] = []
    elsewhere = dict(site.elsewhere)  # said once a subject, on its first case
    for done, files in enumerate(site.cases, start=1):
        name = files.name
        log.debug("examining %s", name)
        case, more = open_case(root, files)
        if raw and task.dates == 2:
            case = replace(case, other=other_grids(files, site.cases))
        findings.extend(more)
        findings.extend(finding for check in checks for finding in check(case))
        if thorough:
            facts.append(case_facts(case))
            digests.extend(case_digests(case))
            findings.extend(grids_elsewhere(case, elsewhere.pop(files.subject, ())))
        if any(finding.level == "blocking" and finding.case == name for finding in findings):
            quarantined.append(name)
        else:
            usable.append(usable_case(case, task))
        if on_case is not None:
            on_case(done, len(site.cases))
    if task.dates == 2 and not raw:
        usable, more = joined_sessions(site.cases, usable, task)
        findings.extend(more)
        names = {case.name for case in usable}
        planned = planned_cases(site.cases, task)
        quarantined = [files.name for files in planned if files.name not in names]
    if thorough:
        findings.extend(_on_the_folder(root, site, digests))
    findings.sort(key=lambda finding: (finding.subject or "", finding.session or ""))
    log.info("intake done", extra={"n_usable": len(usable), "n_quarantined": len(quarantined)})
    return Intake(tuple(usable), tuple(findings), tuple(quarantined), tuple(facts))


def _on_the_folder(root: Path, site: SiteFiles, digests: Sequence[Digest]) -> Iterator[Finding]:
    """What shows only when all cases, or all files, are looked at together."""
    yield from same_voxels(digests)
    yield from what_names_somebody(root)


def _no_images(root: Path) -> Finding:
    return Finding(
        level="blocking",
        code="no-images",
        subject=None,
        session=None,
        text=f"no anatomical NIfTI image such as sub-01/anat/sub-01_FLAIR.nii.gz under {root}",
        fix="Give the folder that holds the sub-* folders, or a table of the files (--mapping); "
        "convert DICOM with dcm2niix.",
    )
