"""Arrays that are mapped on use, of which a site has more than a process may have files open."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from common.imaging.dataset.mapped_array import mapped_array

N_FILES = 50


def n_open() -> int:
    return len(os.listdir("/proc/self/fd"))


def n_maps(name: str) -> int:
    return Path("/proc/self/maps").read_text().count(name)


def written(folder: Path, array: np.ndarray, name: str = "array.npy") -> Path:
    np.save(folder / name, array)
    return folder / name


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        np.array([[True], [False]]),
        np.array(7.5),
        np.empty((0, 3), np.uint8),
    ],
    ids=["float", "fortran", "bool", "scalar", "empty"],
)
def test_it_is_the_array_that_was_saved_and_cannot_be_changed(
    tmp_path: Path, array: np.ndarray
) -> None:
    mapped = mapped_array(written(tmp_path, array))
    assert mapped.dtype == array.dtype
    np.testing.assert_array_equal(mapped, array)
    assert not mapped.flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE"):
        mapped.flags.writeable = True


def test_no_file_stays_open_however_many_arrays_there_are(tmp_path: Path) -> None:
    """`np.load(mmap_mode="r")` holds one for each."""
    files = [written(tmp_path, np.full(9, i), f"{i}.npy") for i in range(N_FILES)]
    before = n_open()
    arrays = [mapped_array(file) for file in files]
    assert n_open() == before
    assert [int(array[8]) for array in arrays] == list(range(N_FILES))
    held = [np.load(file, mmap_mode="r") for file in files]
    assert n_open() == before + len(held)


def test_the_memory_goes_with_the_last_that_refers_to_it(tmp_path: Path) -> None:
    array = mapped_array(written(tmp_path, np.arange(99), "gone.npy"))
    tail = array[90:]
    del array
    gc.collect()
    assert n_maps("gone.npy") == 1
    assert tail.tolist() == list(range(90, 99))
    del tail
    gc.collect()
    assert n_maps("gone.npy") == 0


def test_an_array_whose_file_is_removed_stays(tmp_path: Path) -> None:
    file = written(tmp_path, np.arange(9))
    array = mapped_array(file)
    file.unlink()
    assert int(array.sum()) == 36


def test_a_file_that_is_shorter_than_it_says_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, np.arange(1000))
    os.truncate(file, 4000)
    with pytest.raises(ValueError, match=r"want \(1000,\) of plain int64, found 4000 bytes"):
        mapped_array(file)


def test_objects_are_never_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"want .* of plain object"):
        mapped_array(tmp_path / "o.npy")
