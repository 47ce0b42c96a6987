"""The images that a prediction is given, beside those that the model reads."""

from __future__ import annotations

from collections.abc import Mapping
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
    optional = [c for c in task.channels if task.modality_of(c) in task.optional_modalities]
    missing = [c for c in task.channels if c not in images and c not in optional]
    too_much = sorted(set(images) - set(task.channels))
    if missing or too_much:
        dates = " (1: the earlier date, 2: the later)" if task.dates == 2 else ""
        without = f", and can do without {', '.join(optional)}" if optional else ""
        add = f" Add {', '.join(map(option_of, missing))}." if missing else ""
        leave_out = f" Leave out {', '.join(map(option_of, too_much))}." if too_much else ""
        raise ModelFileError(
            f"the model reads {', '.join(task.channels)}{dates}{without}; given were "
            f"{', '.join(sorted(images)) or 'none'}.{add}{leave_out}"
        )
    volumes = {c: read_volume(images[c]) for c in task.channels if c in images}
    for channel, volume in volumes.items():
        require_finite(volume, images[channel])
    return volumes
