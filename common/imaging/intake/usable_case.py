"""A case that a site can use: which files it consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.imaging.intake.findings import case_name


@dataclass(frozen=True, slots=True, kw_only=True)
class UsableCase:
    """One case without a blocking finding.

    subject          "sub-01"
    session          "ses-01", or None; of two dates the later one's
    images           channel -> file, in the task's order; on one grid, unless taken in raw. The
                     channels of a session alone, `earlier` among them, are its modalities
    lesion_mask      the reference, or None
    brain_mask       the site's own, or None: to be made
    cord_mask        the site's own, or None; not opened here
    centreline       a table of the spinal cord's nodes, or None; not opened here
    rater_masks      "lesionRater1" -> that rater's own mask, in order, of those that there are
    earlier          the session before this one, where a case has two dates; else None
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
    rater_masks: Mapping[str, Path] = field(default_factory=dict)
    earlier: UsableCase | None = None

    @property
    def name(self) -> str:
        """Subject and session as in file names: `sub-01_ses-02`, or `sub-01`."""
        return case_name(self.subject, self.session)

    @property
    def has_reference(self) -> bool:
        """Whether there is a lesion mask, be it empty."""
        return self.lesion_mask is not None
