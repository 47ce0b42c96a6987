"""A case in memory, as the checks of intake get it."""

from __future__ import annotations

from pathlib import Path

from common.imaging.intake.bids import CaseFiles
from common.imaging.intake.findings import Finding
from common.imaging.intake.usable_case import OpenCase
from common.imaging.volume import Volume


def opened(
    *,
    root: Path = Path("/site"),
    lesions: Volume | None = None,
    brain: Volume | None = None,
    **images: Volume,
) -> OpenCase:
    """sub-01 ses-02 with these images, at `root`/FLAIR.nii.gz and so on."""
    files = CaseFiles(
        subject="sub-01",
        session="ses-02",
        images={name: root / f"{name}.nii.gz" for name in images},
        lesion_mask=None if lesions is None else root / "lesions.nii.gz",
        brain_mask=None if brain is None else root / "brain.nii.gz",
        diagnosis=None,
    )
    return OpenCase(root=root, files=files, images=images, lesions=lesions, brain=brain)


def only(findings: list[Finding]) -> Finding:
    """The one finding, on sub-01 ses-02."""
    (finding,) = findings
    assert (finding.subject, finding.session) == ("sub-01", "ses-02")
    return finding
