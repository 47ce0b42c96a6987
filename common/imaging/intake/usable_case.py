"""One case of a site: its files opened, and what is used of it where no finding is blocking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.files import require_file
from common.imaging.grid import Grid
from common.imaging.intake.bids import REFERENCE, CaseFiles
from common.imaging.intake.findings import Finding, Level, case_name
from common.imaging.intake.participants import is_control
from common.imaging.orientation import upright
from common.imaging.volume import (
    Volume,
    VolumeFault,
    read_labels,
    read_volume,
    require_finite,
    same_grid,
)
from common.recipe.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCase:
    """One case with the files that could be read, upright; what could not is None or absent.

    root     the site's folder
    images   modality -> float32 image without NaN, in the order asked for
    lesions  whole-numbered labels of the lesion mask
    brain    whole-numbered labels of the site's brain mask
    raters   "lesionRater1" -> whole-numbered labels of that rater's own mask
    other    "FLAIR of ses-01" -> grid of an image of the other date, on which a mask may lie before
             preparing; its values are not there. Empty unless there are exactly two dates
    stored   modality -> grid of its file, in the order on disk; absent where that is upright
    """

    root: Path
    files: CaseFiles
    images: Mapping[str, Volume]
    lesions: Volume | None
    brain: Volume | None
    raters: Mapping[str, Volume] = field(default_factory=dict)
    other: Mapping[str, Volume] = field(default_factory=dict)
    stored: Mapping[str, Volume] = field(default_factory=dict)

    @property
    def masks(self) -> dict[str, Volume]:
        """What a mask is called in a finding -> the mask, of all that could be read."""
        masks = {"lesion mask": self.lesions, "brain mask": self.brain}
        masks |= {f"{rater} mask": mask for rater, mask in self.raters.items()}
        return {name: mask for name, mask in masks.items() if mask is not None}

    @property
    def first(self) -> tuple[str, Volume] | None:
        """The first modality that could be read, on whose grid everything should lie."""
        return next(iter(self.images.items()), None)

    def grid_on_disk(self, modality: str) -> Volume:
        """The grid of an image's file, in its own storage order; its values are not there."""
        return self.stored.get(modality, self.images[modality])

    def shown(self, path: Path) -> str:
        """The path below the site's folder."""
        return path.relative_to(self.root).as_posix()

    def finding(self, level: Level, code: str, *, text: str, fix: str) -> Finding:
        """A finding on this case."""
        return _finding(self.files, level, code, text=text, fix=fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsableCase:
    """One case without a blocking finding; in a preparation job it is written and read as JSON.

    subject          "sub-01"
    session          "ses-01", or None; of two dates the later one's
    images           channel -> file, in the task's order, without those of optional modalities that
                     it lacks; on one grid, unless taken in raw. The channels of a session alone,
                     `earlier` among them, are its modalities
    lesion_mask      the reference, or None
    brain_mask       the site's own, or None: to be made
    cord_mask        the site's own, or None; not opened here
    centreline       a table of the spinal cord's nodes, or None; not opened here
    reference        the `desc-` of the reference, as the task's target has it
    rater_masks      "lesionRater1" -> that rater's own mask, in order, of those that there are
    earlier          the session before this one, where a case has two dates; else None
    missing          channels of optional modalities that it lacks, in the task's order
    control          participants.tsv says diagnosis = healthy, or another word for it
    n_lesion_voxels  voxels above 0 in the reference; 0 without one
    """

    subject: str
    session: str | None
    images: Mapping[str, Path]
    lesion_mask: Path | None
    brain_mask: Path | None
    control: bool = False
    n_lesion_voxels: int = 0
    cord_mask: Path | None = None
    centreline: Path | None = None
    reference: str = "lesion"
    rater_masks: Mapping[str, Path] = field(default_factory=dict)
    earlier: UsableCase | None = None
    missing: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Subject and session as in file names: `sub-01_ses-02`, or `sub-01`."""
        return case_name(self.subject, self.session)

    @property
    def files(self) -> dict[str, Path]:
        """What each file is -> the file: images, masks and centreline, those that there are."""
        others = {
            "lesions": self.lesion_mask,
            "brain": self.brain_mask,
            "cord": self.cord_mask,
            "centreline": self.centreline,
        }
        present = {what: path for what, path in others.items() if path is not None}
        return {**self.images, **present, **self.rater_masks}


def open_case(root: Path, files: CaseFiles) -> tuple[OpenCase, list[Finding]]:
    """The case with every file that can be read, and a blocking finding for each that cannot."""
    findings: list[Finding] = []

    def opened(path: Path | None, read: Callable[[Path], Volume]) -> Volume | None:
        if path is None:
            return None
        try:
            return read(path)
        except VolumeFault as fault:
            text = f"{path.relative_to(root).as_posix()}: {fault.what}"
            findings.append(_finding(files, "blocking", fault.code, text=text, fix=fault.fix))
            return None

    for path in (files.cord_mask, files.centreline):
        if path is not None and (finding := _no_file(root, files, path)) is not None:
            findings.append(finding)
    images, stored = {}, {}
    for modality, path in files.images.items():
        image = opened(path, _read_image)
        if image is not None:
            images[modality] = upright(image)
            if images[modality] is not image:
                stored[modality] = Grid.of(image).filled(0)
    raters = {rater: opened(path, _read_mask) for rater, path in files.rater_masks.items()}
    case = OpenCase(
        root=root,
        files=files,
        images=images,
        lesions=opened(files.lesion_mask, _read_mask),
        brain=opened(files.brain_mask, _read_mask),
        raters={rater: mask for rater, mask in raters.items() if mask is not None},
        stored=stored,
    )
    return case, findings


def usable_case(case: OpenCase, task: Task) -> UsableCase:
    """What is used of a case that no finding blocks."""
    files = case.files
    on_own_date = case.brain is not None and mask_grid_of(case, case.brain) is not None
    return UsableCase(
        subject=files.subject,
        session=files.session,
        images=files.images,
        lesion_mask=files.lesion_mask,
        brain_mask=files.brain_mask if on_own_date else None,  # else the other date's
        control=is_control(files.diagnosis),
        n_lesion_voxels=0 if case.lesions is None else int(np.count_nonzero(case.lesions.data)),
        cord_mask=files.cord_mask,
        centreline=files.centreline,
        reference=REFERENCE[task.target],
        rater_masks=files.rater_masks,
        missing=tuple(name for name in task.modalities if name not in files.images),
    )


def mask_grid_of(case: OpenCase, mask: Volume) -> str | None:
    """The first modality that lies on the grid of `mask`, or None."""
    return next((name for name, image in case.images.items() if same_grid(image, mask)), None)


def _no_file(root: Path, files: CaseFiles, path: Path) -> Finding | None:
    """A blocking finding where a file that is opened later is none."""
    try:
        require_file(path)
    except OSError as error:
        text = f"{path.relative_to(root).as_posix()}: cannot be read: {error.strerror or error}"
        fix = "Copy the file again, or remove its name."
        return _finding(files, "blocking", "missing", text=text, fix=fix)
    return None


def _read_image(path: Path) -> Volume:
    image = read_volume(path)
    require_finite(image, path)
    return image


def _read_mask(path: Path) -> Volume:
    return upright(read_labels(path))


def _finding(files: CaseFiles, level: Level, code: str, *, text: str, fix: str) -> Finding:
    return Finding(
        level=level,
        code=code,
        subject=files.subject,
        session=files.session,
        text=text,
        fix=fix,
    )
