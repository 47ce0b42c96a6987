"""One subject's cases to be prepared in a worker: everything it needs, in one line of JSON."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.code_digest import code_digest
from common.imaging.intake.usable_case import UsableCase
from common.recipe.preprocessing import Preprocessing
from common.settings import Settings

LIBRARIES = ("connected-components-3d", "nibabel", "nilearn", "numpy", "scipy", "simpleitk")
"""Whose versions may change a voxel."""

JobState = Literal["prepare", "draw", "done"]
"""prepare: the volumes have to be made; draw: their quality pages alone; done: nothing to do."""


class Job(Settings):
    """One subject's cases to be prepared together, and how.

    A single case, but both sessions of a subject where the recipe's space is halfway.
    """

    cases: tuple[UsableCase, ...]
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

    def _sources(self, case: UsableCase) -> dict[str, list[str]]:
        """What each file is -> its path below the site's folder and its digest."""
        paths = {what: self.shown(path) for what, path in case.files.items()}
        return {what: [shown, self.digests[shown]] for what, shown in paths.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedJob:
    """One job, how much of it is left to do, and the memory it is expected to take."""

    job: Job
    state: JobState
    memory_bytes: int


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
