"""What one worker is asked to do: everything it needs, in one line of JSON."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path

from pydantic import Field

from common.code_digest import code_digest
from common.imaging.intake.findings import case_name
from common.recipe.recipe import Preprocessing
from common.settings import Settings

LIBRARIES = ("connected-components-3d", "nibabel", "nilearn", "numpy", "scipy", "simpleitk")
"""Whose versions may change a voxel."""


class CaseSource(Settings):
    """The files of one subject-session as intake found them."""

    subject: str
    session: str | None
    images: dict[str, Path]
    lesion_mask: Path | None
    brain_mask: Path | None
    cord_mask: Path | None = None
    centreline: Path | None = None
    reference: str = "lesion"
    """The `desc-` of the lesion mask, as the recipe's target has it."""
    rater_masks: dict[str, Path] = Field(default_factory=dict)
    """The `desc-` of each rater's own mask -> that mask."""

    @property
    def name(self) -> str:
        """Subject and session as in file names: `sub-01_ses-02`, or `sub-01`."""
        return case_name(self.subject, self.session)

    @property
    def files(self) -> tuple[Path, ...]:
        """Images, masks and centreline, those that there are."""
        masks = (self.lesion_mask, self.brain_mask, self.cord_mask, self.centreline)
        there = (path for path in masks if path is not None)
        return (*self.images.values(), *there, *self.rater_masks.values())


class WorkOrder(Settings):
    """One subject's cases to be prepared together, and how.

    A single case, but both sessions of a subject where the recipe's space is halfway.
    """

    cases: tuple[CaseSource, ...]
    root: Path
    """The site's folder, which holds every source."""
    out: Path
    preprocessing: Preprocessing
    brain_command: tuple[str, ...]
    threads: int
    digests: dict[str, str]
    """Source, as a path below `root` -> SHA-256 of its bytes."""
    template: dict[str, tuple[float, ...]]
    """The two-step standardization's, modality -> class centres, shown in the histograms; empty
    where none is known."""

    @property
    def name(self) -> str:
        """The case's name, or the subject's where several are prepared together."""
        return self.cases[0].name if len(self.cases) == 1 else self.cases[0].subject

    def key(self) -> str:
        """The digest of all that may change a prepared voxel or a word beside it."""
        facts = {
            "cases": [
                {"name": case.name, "reference": case.reference, "files": self._sources(case)}
                for case in self.cases
            ],
            "preprocessing": self.preprocessing.model_dump(mode="json"),
            "brain_command": self.brain_command,
            "threads": self.threads,
            "code": code_digest(),
            "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def page_key(self) -> str:
        """The digest of all that may change a quality page."""
        return hashlib.sha256(json.dumps([self.key(), self.template]).encode()).hexdigest()

    def shown(self, path: Path) -> str:
        """A source as a path below the site's folder."""
        return path.relative_to(self.root).as_posix()

    def _sources(self, case: CaseSource) -> dict[str, list[str] | None]:
        """What each file is -> its path below the site's folder and its digest."""
        files = {
            **case.images,
            "lesions": case.lesion_mask,
            "brain": case.brain_mask,
            "cord": case.cord_mask,
            "centreline": case.centreline,
            **case.rater_masks,
        }
        return {
            name: None if path is None else [self.shown(path), self.digests[self.shown(path)]]
            for name, path in files.items()
        }


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
