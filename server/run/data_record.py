"""Whose data lie where in a run: the subjects of each place and the digests of their images.

Written into the run's folder before its first round, and read by nothing but the check for
leakage. It holds labels of subjects, so it stays with the coordinator; no model file has any of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.errors import ConfigError, RunFolderError
from common.files import write_whole
from common.imaging.dataset.prepared_site import listing
from common.imaging.intake.bids import CaseFiles, list_cases
from common.imaging.intake.findings import case_name
from common.imaging.intake.image_digests import image_digests
from common.recipe.task import Task
from common.settings import Settings

PartOfRun = Literal["train", "statistics", "evaluate", "validation", "unseen", "threshold", "any"]
"""What a place's data are used for; any: each in turn, as in a study that leaves sites out."""

WORDS: dict[PartOfRun, str] = {
    "train": "training site",
    "statistics": "site of controls",
    "evaluate": "evaluating site",
    "validation": "validation site",
    "unseen": "held-out site",
    "threshold": "site for the threshold",
    "any": "site",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DataPlace:
    """A folder with a part in a run, by the name that it was given."""

    name: str
    part: PartOfRun
    data: Path

    def __str__(self) -> str:
        return f"{WORDS[self.part]} {self.name} ({self.data})"


def places_of(folders: Mapping[str, Path], part: PartOfRun) -> list[DataPlace]:
    """One place for each folder, all with one part. folders: name -> BIDS folder."""
    return [DataPlace(name=name, part=part, data=data.resolve()) for name, data in folders.items()]


class RecordedImage(Settings):
    """One image, or one mask that is not empty, of one case."""

    subject: str
    session: str | None
    what: str
    """Its modality, or whose mask it is."""
    digests: tuple[str, ...]
    """Of its voxels, see `common/imaging/voxel_digest.py`."""

    @property
    def shown(self) -> str:
        """Case and modality."""
        return f"{case_name(self.subject, self.session)} {self.what}"


class RecordedPlace(Settings):
    """What lies in one place."""

    name: str
    part: PartOfRun
    data: Path
    files: str
    """Digest of every file's name, size and time of change, by which a later change shows."""
    subjects: tuple[str, ...]
    images: tuple[RecordedImage, ...]

    @property
    def place(self) -> DataPlace:
        """The folder and its part."""
        return DataPlace(name=self.name, part=self.part, data=self.data)


class DataRecord(Settings):
    """All places of a run or a study."""

    labels_are_local: bool
    """Whether equal labels at two places are two people, as the coordinator has said."""
    places: tuple[RecordedPlace, ...]
    threshold_places: tuple[RecordedPlace, ...] = ()
    """Where a decision threshold was chosen after the run, by `lesionfed threshold --write`."""


def write_record(path: Path, record: DataRecord) -> None:
    """Writes the record, whole."""
    write_whole(path, json.dumps(record.model_dump(mode="json"), indent=1).encode())


def read_record(path: Path) -> DataRecord | None:
    """The record; None where there is none. RunFolderError where it cannot be read."""
    try:
        return DataRecord.from_table(json.loads(path.read_bytes()), where=str(path))
    except FileNotFoundError:
        return None
    except ConfigError:
        why = "it is not such a record, or one of another version"
    except (OSError, ValueError, RecursionError) as error:
        why = str(error)
    raise RunFolderError(
        f"{path}: want the subjects and images of the run, but it cannot be read: {why}. Without "
        "it nobody can tell whether a subject was trained on: put it back, or begin a new run."
    )


def files_digest(data: Path) -> str:
    """Changes when a file below `data` is added, removed or written."""
    return hashlib.sha256(json.dumps(list(listing(data))).encode()).hexdigest()


def cases_of(place: DataPlace, task: Task) -> tuple[CaseFiles, ...]:
    """The cases of the place by the names of its files; none where there is no such folder."""
    return list_cases(place.data, task).cases if place.data.is_dir() else ()


def recorded(place: DataPlace, cases: tuple[CaseFiles, ...]) -> RecordedPlace:
    """The place with the digests of all its images, each read once; see `image_digests`."""
    return RecordedPlace(
        name=place.name,
        part=place.part,
        data=place.data,
        files=files_digest(place.data),
        subjects=tuple(sorted({case.subject for case in cases})),
        images=tuple(
            RecordedImage(
                subject=case.subject, session=case.session, what=image.what, digests=image.digests
            )
            for case in cases
            for image in image_digests(case)
        ),
    )
