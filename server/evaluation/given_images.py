"""The images that a prediction is given, beside those that the model reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from common.errors import ModelFileError
from common.imaging.volume import Volume, read_volume, require_finite
from common.recipe.task import Task

SHORT_OPTIONS = {"FLAIR": "--flair", "T1w": "--t1"}
"""The channels that `lesionfed predict` takes by an option of their own."""


def option_of(channel: str) -> str:
    """How `lesionfed predict` is given the image of a channel: `--flair FILE`."""
    option = SHORT_OPTIONS.get(channel)
    return f"--image {channel}=FILE" if option is None else f"{option} FILE"


def read_given(images: Mapping[str, Path], task: Task) -> dict[str, Volume]:
    """Channel -> image, in the model's order, without the optional ones that were not given.

    ModelFileError where one is missing that the model cannot do without, or one is given that it
    does not read.
    """
    lacking = _may_lack(images, task)
    missing = [c for c in task.channels if c not in images and c not in lacking]
    too_much = sorted(set(images) - set(task.channels))
    if missing or too_much:
        dates = " (1: the earlier date, 2: the later)" if task.dates == 2 else ""
        add = f" Add {', '.join(map(option_of, missing))}." if missing else ""
        leave_out = f" Leave out {', '.join(map(option_of, too_much))}." if too_much else ""
        raise ModelFileError(
            f"the model reads {', '.join(task.channels)}{dates}; given were "
            f"{', '.join(sorted(images)) or 'none'}.{add}{leave_out}"
        )
    volumes = {c: read_volume(images[c]) for c in task.channels if c in images}
    for channel, volume in volumes.items():
        require_finite(volume, images[channel])
    return volumes


def notes_on_missing(given: Collection[str], task: Task) -> tuple[str, ...]:
    """A note for each optional modality that was not given.

    given   channels
    """
    absent = dict.fromkeys(task.modality_of(channel) for channel in _may_lack(given, task))
    return tuple(
        f"{modality}: not given; the model looks at the other images alone, as its recipe allows"
        for modality in absent
    )


def _may_lack(given: Collection[str], task: Task) -> list[str]:
    """The channels of the optional modalities that were not given, of two dates at neither."""
    present = {task.modality_of(channel) for channel in given if channel in task.channels}
    absent = set(task.optional_modalities) - present
    return [channel for channel in task.channels if task.modality_of(channel) in absent]
