"""Is a site's data usable? Every case opened and looked at once, every finding collected."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import SiteDataError
from common.imaging.bids import list_cases
from common.imaging.case_checks import CHECKS, OpenCase, open_case
from common.imaging.findings import Finding, as_text, case_name

log = logging.getLogger(__name__)

OnCase = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsableCase:
    """One case without a blocking finding.

    subject          "sub-01"
    session          "ses-01", or None
    images           modality -> file, in the order asked for; all on one grid
    lesion_mask      the reference on the same grid, or None
    brain_mask       the site's own on the same grid, or None: made from the stripped images
    control          participants.tsv says diagnosis = healthy
    n_lesion_voxels  voxels above 0 in the reference; 0 without one
    """

    subject: str
    session: str | None
    images: Mapping[str, Path]
    lesion_mask: Path | None
    brain_mask: Path | None
    control: bool
    n_lesion_voxels: int

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
    """

    usable: tuple[UsableCase, ...]
    findings: tuple[Finding, ...]
    quarantined: tuple[str, ...]


def examine(root: Path, *, modalities: Sequence[str], on_case: OnCase | None = None) -> Intake:
    """The usable cases under `root`, at least one, with all findings.

    As `survey`, but raises SiteDataError with every finding when no case is usable.
    """
    intake = survey(root, modalities=modalities, on_case=on_case)
    if not intake.usable:
        raise SiteDataError(
            f"{root}: want at least one usable case with {', '.join(modalities)}, found none. "
            f"What was found:\n{as_text(intake.findings)}"
        )
    return intake


def survey(root: Path, *, modalities: Sequence[str], on_case: OnCase | None = None) -> Intake:
    """All cases under `root`, sorted into usable and quarantined, with every finding.

    root         a BIDS folder; SiteDataError when there is none
    modalities   BIDS suffixes in channel order, such as ("FLAIR", "T1w")
    on_case      called after each case with the number done and the number of cases
    Every image is read once; one case is in memory at a time. A case with a blocking finding is
    quarantined, the rest goes on.
    """
    site = list_cases(root, modalities)
    findings = list(site.findings)
    if not site.cases:
        findings.append(_no_images(root))
    usable, quarantined = [], []
    for done, files in enumerate(site.cases, start=1):
        name = case_name(files.subject, files.session)
        log.debug("examining %s", name)
        case, more = open_case(root, files)
        findings.extend(more)
        findings.extend(finding for check in CHECKS for finding in check(case))
        if any(finding.level == "blocking" and finding.case == name for finding in findings):
            quarantined.append(name)
        else:
            usable.append(_usable(case))
        if on_case is not None:
            on_case(done, len(site.cases))
    findings.sort(key=lambda finding: (finding.subject or "", finding.session or ""))
    log.info("intake done", extra={"n_usable": len(usable), "n_quarantined": len(quarantined)})
    return Intake(tuple(usable), tuple(findings), tuple(quarantined))


def _usable(case: OpenCase) -> UsableCase:
    files = case.files
    return UsableCase(
        subject=files.subject,
        session=files.session,
        images=files.images,
        lesion_mask=files.lesion_mask,
        brain_mask=files.brain_mask,
        control=(files.diagnosis or "").lower() == "healthy",
        n_lesion_voxels=0 if case.lesions is None else int(np.count_nonzero(case.lesions.data)),
    )


def _no_images(root: Path) -> Finding:
    return Finding(
        level="blocking",
        code="no-images",
        subject=None,
        session=None,
        text=f"no anatomical NIfTI image such as sub-01/anat/sub-01_FLAIR.nii.gz under {root}",
        fix="Give the folder that holds the sub-* folders; convert DICOM with dcm2niix.",
    )
