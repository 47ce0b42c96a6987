"""A run's state on disk: whole or not at all, and checked before it is believed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import re
from pathlib import Path

import safetensors
import safetensors.numpy
from pydantic import ValidationError

from common.errors import CheckpointError
from common.whole_file import write_whole
from server.run_state import RunState

log = logging.getLogger(__name__)

KEPT = 2
"""Checkpoints kept: the last, and the one before it in case the last is damaged."""

_NAME = re.compile(r"(?P<number>\d{6})-(?P<sha256>[0-9a-f]{64})\.safetensors")


def save_checkpoint(folder: Path, state: RunState) -> Path:
    """The file written: parameters as tensors, all else as JSON in the file's header.

    The file's name holds its number and the SHA-256 of its content, so that one rename makes the
    checkpoint and a damaged one shows. All but the last two are removed.
    """
    earlier = _checkpoints(folder)
    facts = json.dumps(_facts(state), sort_keys=True, allow_nan=False)
    content = safetensors.numpy.save(state.parameters, metadata={"state": facts})
    number = 1 + (_number(earlier[-1]) if earlier else 0)
    path = folder / f"{number:06d}-{hashlib.sha256(content).hexdigest()}.safetensors"
    write_whole(path, content)
    for old in [*earlier, path][:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: Path) -> RunState | None:
    """The newest undamaged state in `folder`, or None where no round was ever finished.

    A damaged checkpoint is passed over with a warning; CheckpointError when all are damaged.
    """
    paths = _checkpoints(folder)
    for path in reversed(paths):
        try:
            return _read(path)
        except CheckpointError as error:
            log.warning("%s The one before it is tried.", error)
    if paths:
        raise CheckpointError(
            f"{folder}: none of the {len(paths)} checkpoints there is whole. "
            "Start the run anew in another folder."
        )
    return None


def _facts(state: RunState) -> dict[str, object]:
    facts = dataclasses.asdict(dataclasses.replace(state, parameters={}))
    return {name: value for name, value in facts.items() if name != "parameters"}


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.safetensors") if _NAME.fullmatch(path.name))


def _number(path: Path) -> int:
    return int(path.name.partition("-")[0])


def _read(path: Path) -> RunState:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() not in path.name:
        raise CheckpointError(f"{path}: its content does not match the digest in its name.")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            facts = json.loads(file.metadata()["state"])
        return RunState(**facts, parameters=safetensors.numpy.load(content))
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, ValidationError) as error:
        raise CheckpointError(f"{path}: not a checkpoint of this version: {error}.") from None
