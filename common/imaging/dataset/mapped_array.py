"""An array file as memory that the system reads on use, without a file that stays open.

`np.load(mmap_mode=...)` keeps each file open for as long as its array lives, and a process may have
1,024 files open: a site of 360 subjects has as many arrays.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_FAILED: Final = ctypes.c_void_p(-1).value


def mapped_array(path: Path) -> npt.NDArray[Any]:
    """The array in a `.npy` file, read only, mapped until nothing refers to it any more.

    OSError where it cannot be read or mapped; ValueError where it is no such file, or is shorter
    than it says.
    """
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read_header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, is_fortran, dtype = read_header(file)
        start, size = file.tell(), os.fstat(file.fileno()).st_size
        n_values = int(np.prod(shape, dtype=np.int64))
        if dtype.hasobject or size < start + n_values * dtype.itemsize:
            raise ValueError(f"{path}: want {shape} of plain {dtype}, found {size} bytes")
        place = _LIBC.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    if place == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    memory = (ctypes.c_ubyte * size).from_address(place)
    weakref.finalize(memory, _LIBC.munmap, place, size).atexit = False
    # read only, as the pages are: a write would end the process
    values: npt.NDArray[Any] = np.frombuffer(
        memoryview(memory).toreadonly(), dtype, n_values, start
    )
    array: npt.NDArray[Any] = values.reshape(shape, order="F" if is_fortran else "C")
    return array
