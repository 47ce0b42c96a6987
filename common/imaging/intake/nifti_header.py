"""What a NIfTI file says about itself, read without its voxels."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from common.imaging.nifti_content import first_bytes
from common.imaging.volume import VolumeFault

MAX_EXTENSION_BYTES = 64 << 20
"""Extensions are looked at up to here; a header that promises more is damaged."""

_HEADERS: tuple[Any, ...] = (nib.Nifti1Header, nib.Nifti2Header)

TEXT_FIELDS = ("descrip", "aux_file", "db_name", "intent_name")
"""The free texts of a header; NIfTI-2 has no db_name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NiftiHeader:
    """The part of a header that places no voxel.

    data_type    of the voxels on disk, such as "int16"
    texts        free-text field -> what it holds, without those that are empty
    extensions   (code, content) of each header extension
    """

    data_type: str
    texts: dict[str, str]
    extensions: tuple[tuple[int, bytes], ...]


def read_header(path: Path) -> NiftiHeader:
    """The header of one NIfTI file; VolumeFault when there is none that can be read."""
    try:
        return _read(lambda n_bytes: first_bytes(path, n_bytes))
    except Exception as error:  # a header holds more surprises than can be listed
        raise VolumeFault(
            path,
            code="unreadable",
            what=f"want a NIfTI header, found: {str(error) or type(error).__name__}",
            fix="Export or copy the file again.",
        ) from None


def _read(first: Callable[[int], bytes]) -> NiftiHeader:
    """The header of the file whose first bytes `first` gives."""
    start = first(_HEADERS[1].sizeof_hdr)
    for kind in _HEADERS:
        if kind.may_contain_header(start):
            header = kind(start[: kind.sizeof_hdr], check=False)
            break
    else:
        raise ValueError("another format or a damaged header")
    texts = {}
    for name in TEXT_FIELDS:
        if name in header.keys():  # noqa: SIM118 - a structured array has no `in` of its own
            text = bytes(np.asarray(header[name]).item()).split(b"\0")[0].decode("utf-8", "replace")
            if text.strip():
                texts[name] = text.strip()
    return NiftiHeader(
        data_type=_type_name(header),
        texts=texts,
        extensions=_extensions(first, header),
    )


def _type_name(header: Any) -> str:
    try:
        return str(header.get_data_dtype().newbyteorder("=").name)
    except (KeyError, ValueError, TypeError, nib.spatialimages.HeaderDataError):
        return "unknown"


def _extensions(first: Callable[[int], bytes], header: Any) -> tuple[tuple[int, bytes], ...]:
    """Between the header and the voxels: a flag, then length, code and content of each."""
    at = int(header.sizeof_hdr)
    offset = float(header["vox_offset"])
    if not at + 4 < offset < math.inf:
        return ()
    content = first(min(int(offset), at + MAX_EXTENSION_BYTES))
    if len(content) < at + 4 or content[at] == 0:
        return ()
    order = header.endianness
    found = []
    at += 4
    while at + 8 <= len(content):
        size, code = struct.unpack(f"{order}ii", content[at : at + 8])
        found.append((code, content[at + 8 : at + max(8, size)]))  # one cut short counts as well
        at += max(8, size)
    return tuple(found)
