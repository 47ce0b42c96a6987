"""What a recipe segments, named for the readers of pictures, charts and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.recipe.preprocessing import Preprocessing
from common.recipe.task import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskLabels:
    """The names, as they stand in the middle of a sentence.

    threshold   the baseline, such as "FLAIR threshold"
    lesions     "lesions" or "new lesions"
    lesion      one of them
    images      what they are segmented on, such as "FLAIR and T1w"
    region      the voxels that count: "brain" or "cord region"
    """

    threshold: str
    lesions: str
    images: str
    region: str

    @property
    def lesion(self) -> str:
        """One of them."""
        return self.lesions.removesuffix("s")


UNKNOWN = TaskLabels(
    threshold="intensity threshold", lesions="lesions", images="", region="segmented region"
)
"""Where there is no recipe."""


def task_labels(task: Task, preprocessing: Preprocessing) -> TaskLabels:
    """The labels for this task on images prepared in this way."""
    images = _joined(task.modalities)
    return TaskLabels(
        threshold=threshold_name(task),
        lesions=lesions_name(task),
        images=f"{images} of two dates" if task.dates == 2 else images,
        region="cord region" if "cord" in preprocessing.steps else "brain",
    )


def threshold_name(task: Task) -> str:
    """The intensity-threshold baseline, named by its image; see `baseline_intensity`."""
    return f"{task.modalities[0]} {'change ' if task.dates == 2 else ''}threshold"


def lesions_name(task: Task) -> str:
    """What the task segments."""
    return "new lesions" if task.dates == 2 else "lesions"


def picture_labels(task: Task) -> dict[str, int]:
    """Label -> channel of the images that a picture shows, the one to segment on last."""
    modality = task.modalities[0]
    if task.dates == 1:
        return {modality: 0}
    return {f"{modality}, earlier date": 0, f"{modality}, later date": len(task.modalities)}


def _joined(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
