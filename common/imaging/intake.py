"""Is a site's data usable? Every case opened and looked at once, every finding collected.

    survey(root, *, modalities, raw=False, mapping=None, thorough=False, on_case=None) -> Intake

There are two kinds of readiness. As it is, a folder can be trained on when a case's images lie on
one grid and show a brain alone. With `raw=True` it is judged as what `lesionfed-site prepare` is
given: modalities on grids of their own, heads with their skulls, masks on any modality's grid.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import SiteDataError
from common.imaging.bids import SiteFiles, list_cases
from common.imaging.case_checks import CHECKS, RAW_CHECKS, OpenCase, mask_grid_of, open_case
from common.imaging.case_facts import CaseFacts, case_facts
from common.imaging.case_looks import LOOKS
from common.imaging.duplicates import Digest, case_digests, same_voxels
from common.imaging.findings import Finding, as_text, case_name
from common.imaging.mapping import mapped_cases
from common.imaging.masks_elsewhere import grids_elsewhere
from common.imaging.privacy_checks import what_names_somebody
from common.imaging.session_checks import sessions_are_in_order

log = logging.getLogger(__name__)

OnCase = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsableCase:
    """One case without a blocking finding.

    subject          "sub-01"
    session          "ses-01", or None
    images           modality -> file, in the order asked for; on one grid, unless taken in raw
    lesion_mask      the reference, or None
    brain_mask       the site's own, or None: to be made
    cord_mask        the site's own, or None; not opened here
    centreline       a table of the spinal cord's nodes, or None; not opened here
    lesion_grid      the first modality whose grid the reference lies on; None without one
    brain_grid       the same for the brain mask
    control          participants.tsv says diagnosis = healthy
    n_lesion_voxels  voxels above 0 in the reference; 0 without one
    """

    subject: str
    session: str | None
    images: Mapping[str, Path]
    lesion_mask: Path | None
    brain_mask: Path | None
    lesion_grid: str | None
    brain_grid: str | None
    control: bool
    n_lesion_voxels: int
    cord_mask: Path | None = None
    centreline: Path | None = None

    @property
    def name(self) -> str:
        """Subject and session as in file names: `sub-01_ses-02`, or `sub-01`."""
        return case_name(self.subject, self.session)

    @property
    def has_reference(self) -> bool:
        """Whether there is a lesion mask, be it empty."""
        return self.lesion_mask is not None


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


def examine(
    root: Path, *, modalities: Sequence[str], raw: bool = False, on_case: OnCase | None = None
) -> Intake:
    """The usable cases under `root`, at least one, with all findings.

    As `survey`, but raises SiteDataError with every finding when no case is usable.
    """
    intake = survey(root, modalities=modalities, raw=raw, on_case=on_case)
    if not intake.usable:
        raise SiteDataError(
            f"{root}: want at least one usable case with {', '.join(modalities)}, found none. "
            f"What was found:\n{as_text(intake.findings)}"
        )
    return intake


def survey(
    root: Path,
    *,
    modalities: Sequence[str],
    raw: bool = False,
    mapping: Path | None = None,
    thorough: bool = False,
    on_case: OnCase | None = None,
) -> Intake:
    """All cases under `root`, sorted into usable and quarantined, with every finding.

    root         a BIDS folder, or any folder where there is a `mapping`; SiteDataError when
                 there is none
    modalities   BIDS suffixes in channel order, such as ("FLAIR", "T1w"); a case that lacks one
                 is quarantined
    raw          judge the cases as input of `prepare`: modalities may lie on different grids, no
                 image need be stripped, a mask lies on the grid of any modality or is absent
    mapping      a table that says which file is which, see `common/imaging/mapping.py`
    thorough     also look for what a person has to decide (flips, privacy, duplicates, ..) and
                 collect the facts; what is usable does not depend on it
    on_case      called after each case with the number done and the number of cases
    Every image is read once; one case is in memory at a time. A case with a blocking finding is
    quarantined, the rest goes on.
    """
    if mapping is None:
        site = list_cases(root, modalities)
    else:
        site = mapped_cases(mapping, root=root, modalities=modalities)
    checks = (*(RAW_CHECKS if raw else CHECKS), *(LOOKS if thorough else ()))
    findings = list(site.findings)
    if not site.cases:
        findings.append(_no_images(root))
    usable: list[UsableCase] = []
    quarantined: list[str] = []
    facts: list[CaseFacts] = []
    digests: list[Digest] = []
    elsewhere = dict(site.elsewhere)  # told once a subject, on its first case
    for done, files in enumerate(site.cases, start=1):
        name = case_name(files.subject, files.session)
        log.debug("examining %s", name)
        case, more = open_case(root, files)
        findings.extend(more)
        findings.extend(finding for check in checks for finding in check(case))
        if thorough:
            facts.append(case_facts(case))
            digests.extend(case_digests(case))
            findings.extend(grids_elsewhere(case, elsewhere.pop(files.subject, ())))
        if any(finding.level == "blocking" and finding.case == name for finding in findings):
            quarantined.append(name)
        else:
            usable.append(_usable(case))
        if on_case is not None:
            on_case(done, len(site.cases))
    if thorough:
        findings.extend(_on_the_folder(root, site, digests))
    findings.sort(key=lambda finding: (finding.subject or "", finding.session or ""))
    log.info("intake done", extra={"n_usable": len(usable), "n_quarantined": len(quarantined)})
    return Intake(tuple(usable), tuple(findings), tuple(quarantined), tuple(facts))


def _on_the_folder(root: Path, site: SiteFiles, digests: Sequence[Digest]) -> Iterator[Finding]:
    """What shows only when all cases, or all files, are looked at together."""
    yield from same_voxels(digests)
    yield from sessions_are_in_order(root, site)
    yield from what_names_somebody(root)


def _usable(case: OpenCase) -> UsableCase:
    files = case.files
    return UsableCase(
        subject=files.subject,
        session=files.session,
        images=files.images,
        lesion_mask=files.lesion_mask,
        brain_mask=files.brain_mask,
        lesion_grid=None if case.lesions is None else mask_grid_of(case, case.lesions),
        brain_grid=None if case.brain is None else mask_grid_of(case, case.brain),
        control=(files.diagnosis or "").lower() == "healthy",
        n_lesion_voxels=0 if case.lesions is None else int(np.count_nonzero(case.lesions.data)),
        cord_mask=files.cord_mask,
        centreline=files.centreline,
    )


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
