"""A run's state on disk: complete or absent, and checked before it is used."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy
from pydantic import ValidationError

from common.errors import CheckpointError
from common.files import write_whole
from common.learning.networks.parameters import not_finite
from server.run.run_state import RunState

log = logging.getLogger(__name__)

KEPT = 2
"""Checkpoints kept: the last, and the one before it in case the last is damaged."""

PREFIXES = {
    "optimizer_state": "optimizer.",
    "server_state": "server.",
    "variates": "variates.",
    "average": "average.",
}
"""Field of arrays beside the parameters -> how its tensors' names begin; no parameter's does."""

DAMAGED = ".damaged"
"""Ends the name of a checkpoint that was passed over: it counts as none any more."""

_NAME = re.compile(r"(?P<number>\d{6})-(?P<sha256>[0-9a-f]{64})\.safetensors")


def save_checkpoint(folder: Path, state: RunState) -> Path:
    """The file written: parameters as tensors, all else as JSON in the file's header.

    The file's name holds its number and the SHA-256 of its content, so that one rename makes the
    checkpoint and a damaged one shows. All but the last two are removed. CheckpointError where the
    disk does not take it, or where the state holds values that are not finite, with which no run
    could continue; those before stay.
    """
    _require_finite(folder, state)
    earlier = _checkpoints(folder)
    facts = json.dumps(_facts(state), sort_keys=True, allow_nan=False)
    tensors = dict(state.parameters)
    for field, prefix in PREFIXES.items():
        tensors |= {prefix + name: array for name, array in getattr(state, field).items()}
    content = safetensors.numpy.save(tensors, metadata={"state": facts})
    number = 1 + (_number(earlier[-1]) if earlier else 0)
    path = folder / f"{number:06d}-{hashlib.sha256(content).hexdigest()}.safetensors"
    try:
        write_whole(path, content)
    except OSError as error:
        raise CheckpointError(
            f"{path}: {len(content)} bytes could not be written: {error.strerror}. Free space "
            "there, then resume the run: it continues from the checkpoint before."
        ) from None
    for old in [*earlier, path][:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(
    folder: Path, *, on_damaged: Callable[[Path], None] | None = None
) -> RunState | None:
    """The newest undamaged state in `folder`, or None where no round was ever finished.

    A damaged checkpoint is passed over with a warning, and set aside once an older one is found
    whole; CheckpointError, and all stay where they are, when all are damaged. What a kill left
    half written is removed, so only the process that executes the run may call this.

    on_damaged   called with each that is passed over
    """
    for partial in folder.glob(".*.partial"):
        partial.unlink(missing_ok=True)
    paths = _checkpoints(folder)
    damaged: list[Path] = []
    for path in reversed(paths):
        try:
            state = _read(path)
        except CheckpointError as error:
            log.warning("%s The one before it is tried.", error)
            damaged.append(path)
            if on_damaged is not None:
                on_damaged(path)
        else:
            _set_aside(damaged)
            return state
    if paths:
        raise CheckpointError(
            f"{folder}: none of the {len(paths)} checkpoints there is whole. "
            "Start the run again in another folder."
        )
    return None


def _require_finite(folder: Path, state: RunState) -> None:
    for field in ("parameters", *PREFIXES):
        if (name := not_finite(getattr(state, field))) is not None:
            raise CheckpointError(
                f"{folder}: {field} of round {state.round_index} of {state.phase!r}: {name} holds "
                "values that are not finite, so this round is not kept. Resume the run: it "
                "continues from the checkpoint before."
            )


def _facts(state: RunState) -> dict[str, object]:
    arrays = ("parameters", *PREFIXES)
    without: dict[str, Any] = {name: {} for name in arrays}
    facts = dataclasses.asdict(dataclasses.replace(state, **without))
    return {name: value for name, value in facts.items() if name not in arrays}


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.safetensors") if _NAME.fullmatch(path.name))


def _set_aside(damaged: list[Path]) -> None:
    """Renames the newest, which comes first, and removes the others and those of earlier times."""
    if not damaged:
        return
    newest, *others = damaged
    for old in [*newest.parent.glob(f"*{DAMAGED}"), *others]:
        old.unlink(missing_ok=True)
    newest.rename(newest.with_name(newest.name + DAMAGED))


def _number(path: Path) -> int:
    return int(path.name.partition("-")[0])


def _read(path: Path) -> RunState:
    try:
        return _read_whole(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}.") from None


def _read_whole(path: Path) -> RunState:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() not in path.name:
        raise CheckpointError(f"{path}: its content does not match the digest in its name.")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            facts = json.loads(file.metadata()["state"])
        tensors = safetensors.numpy.load(content)
        arrays: dict[str, Any] = {
            field: {
                name.removeprefix(prefix): tensors.pop(name)
                for name in sorted(tensors)
                if name.startswith(prefix)
            }
            for field, prefix in PREFIXES.items()
        }
        return RunState(**facts, parameters=tensors, **arrays)
    except (
        *(safetensors.SafetensorError, ValidationError, RecursionError),
        *(KeyError, TypeError, ValueError),
    ) as error:
        raise CheckpointError(f"{path}: not a checkpoint of this version: {error}.") from None
