"""NIfTI-1 files whose header says exactly what a test wants, whatever a library would write."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.arrays import FloatArray

CODES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512}
Quaternion = tuple[float, float, float]


def header_bytes(
    data: NDArray[Any],
    *,
    sform: FloatArray | None = None,
    quaternion: Quaternion = (0.0, 0.0, 0.0),
    offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
    qfac: float = 1.0,
    pixdim: tuple[float, float, float] = (1.0, 1.0, 1.0),
    sform_code: int = 1,
    qform_code: int = 0,
    units: int = 2,
    slope: float = 0.0,
) -> bytes:
    """The 352 bytes before the voxels of `data`, little-endian.

    sform        (4, 4); None: zeros
    quaternion   b, c and d of the qform, and where it puts voxel 0
    """
    kind = data.dtype.str[1:]
    rows = np.zeros(12) if sform is None else sform[:3].ravel()
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *data.shape, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, CODES[kind], 8 * data.dtype.itemsize)
    struct.pack_into("<8f", header, 76, qfac, *pixdim, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, 352, slope, 0)
    struct.pack_into("<b", header, 123, units)
    struct.pack_into("<hh", header, 252, qform_code, sform_code)
    struct.pack_into("<18f", header, 256, *quaternion, *offset_mm, *rows)
    struct.pack_into("<4s", header, 344, b"n+1\0")
    return bytes(header)


def write_nifti(path: Path, data: NDArray[Any], **fields: Any) -> Path:
    """A file of `data` with that header (see `header_bytes`), compressed where its name says so."""
    content = header_bytes(data, **fields) + data.tobytes(order="F")
    path.write_bytes(gzip.compress(content, 1) if path.name.endswith(".gz") else content)
    return path
