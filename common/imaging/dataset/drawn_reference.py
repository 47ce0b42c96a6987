"""The reference on the scanner's own grid, beside the one that was prepared from it.

sub-01[_ses-01]_desc-lesion_mask.nii.gz                  on the prepared grid: learned from
sub-01[_ses-01]_space-scanner_desc-lesion_mask.nii.gz    as it was drawn: what the verdict is on
sub-01[_ses-01]_space-scanner_desc-lesion_mask.json      the move between both, and their digests

`lesionfed-site prepare` writes them; a folder that was prepared by other means has none.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.arrays import FloatArray
from common.errors import SiteDataError
from common.files import limited_bytes
from common.imaging.bids_name import MOST_SIDECAR_BYTES
from common.imaging.volume import Volume, read_mask

SCANNER = "space-scanner_"
"""What stands before `desc-` in the name of a reference on the scanner's own grid."""

RECORD = "LesionFed"
"""The key in a sidecar under which everything stands that BIDS has no name for."""

_ENDINGS = (".nii.gz", ".nii")
"""`prepare` writes the first; the second is a file that was unpacked since: changed, not absent."""

NOT_RIGID = 1e-3
"""How far the product of a move's rotation with its transpose may be from the identity."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnReference:
    """A reference where it was drawn.

    lesions     bool, on the grid of the image that it was drawn on, in its file's order
    to_common   (4, 4), rigid: RAS+ world mm of that image -> RAS+ world mm of the prepared images
    """

    lesions: Volume
    to_common: FloatArray


def drawn_reference_file(prepared: Path) -> Path | None:
    """The file of the reference on the scanner's own grid; None where `prepare` wrote none.

    prepared   the reference on the prepared grid
    A file of that name is somebody else's where neither its sidecar nor that of the prepared one
    holds our record: None. A record that is lost or damaged does not move the verdict elsewhere.
    """
    stem, desc, rest = prepared.name.rpartition("desc-")
    name = _without_ending(f"{stem}{SCANNER}{desc}{rest}")
    files = (prepared.with_name(f"{name}{ending}") for ending in _ENDINGS)
    path = next((file for file in files if os.path.lexists(file)), None)
    return path if path is not None and (_is_ours(path) or _is_ours(prepared)) else None


def _is_ours(image: Path) -> bool:
    """Whether the sidecar of the image holds our record, or cannot be read to tell."""
    try:
        record = json.loads(limited_bytes(_sidecar(image), MOST_SIDECAR_BYTES))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError):
        return True
    return isinstance(record, dict) and RECORD in record


def read_drawn_reference(path: Path, prepared: Path) -> DrawnReference:
    """The reference in `path`, with its move.

    prepared   the reference that was made from it
    SiteDataError (scanner-reference) where one of the files has changed since they were prepared,
    or the sidecar holds no rigid move; VolumeFault as in `read_mask`.
    """
    sidecar = _sidecar(path)
    try:
        record = json.loads(limited_bytes(sidecar, MOST_SIDECAR_BYTES))[RECORD]
        digests = {path: record["SHA256"], prepared: record["PreparedSHA256"]}
        move = _rigid(record["ScannerToCommon"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unusable(f"{sidecar}: want the move from the scanner, found {error!r}") from None
    lesions = read_mask(path)
    for file, digest in digests.items():
        if _digest(file) != digest:
            raise _unusable(f"{file}: want the file as it was prepared, found another content")
    return DrawnReference(lesions, move)


def _rigid(rows: Any) -> FloatArray:
    """The move; ValueError unless it is rigid and keeps left and right."""
    move = np.array(rows, dtype=np.float64)
    if move.shape != (4, 4) or not np.isfinite(move).all():
        raise ValueError(f"want 4 x 4 finite numbers, got {rows!r:.80}")
    turn = move[:3, :3]
    if (
        np.abs(turn @ turn.T - np.eye(3)).max() > NOT_RIGID
        or np.linalg.det(turn) < 0
        or not np.array_equal(move[3], (0, 0, 0, 1))
    ):
        raise ValueError(f"want a rotation and a shift, got {move.tolist()}")
    return move


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise _unusable(f"{file}: cannot be read: {error.strerror}") from None


def _unusable(what: str) -> SiteDataError:
    return SiteDataError(
        f"{what}. Run lesionfed-site prepare again; to score on the prepared grid instead, remove "
        "the file with space-scanner.",
        code="scanner-reference",
    )


def _sidecar(image: Path) -> Path:
    return image.with_name(_without_ending(image.name) + ".json")


def _without_ending(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".nii")
