from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from common.imaging.nifti_content import MOST_AFTER_BYTES, first_bytes, whole_content
from common.imaging.volume import VolumeFault, read_grid, read_volume
from tests.nifti_headers import header_bytes
from tests.volumes import oblique_affine

CONTENT = np.random.default_rng(0).bytes(50_000)
N = len(CONTENT)
PACKED = gzip.compress(CONTENT, 1)


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        pytest.param(PACKED, [], id="one member"),
        pytest.param(
            b"".join(gzip.compress(CONTENT[at : at + 700]) for at in range(0, N, 700)),
            [],
            id="72 members",
        ),
        pytest.param(
            PACKED + bytes(4096),
            ["4096 bytes after the end of the compressed data are ignored"],
            id="zeros",
        ),
        pytest.param(
            PACKED + b"\0tape" * 5,
            ["25 bytes after the end of the compressed data are ignored"],
            id="something else",
        ),
        pytest.param(
            gzip.compress(CONTENT[:99]) + bytes(512) + gzip.compress(CONTENT[99:]),
            [],
            id="zeros between members",
        ),
        pytest.param(
            PACKED + PACKED[:30],
            ["30 bytes after the end of the compressed data are ignored"],
            id="a cut member that is not needed",
        ),
        pytest.param(
            gzip.compress(CONTENT + b"12345"),
            ["5 bytes after the end of the image are ignored"],
            id="more in the member",
        ),
        pytest.param(CONTENT, ["named .gz, not compressed: read all the same"], id="plain"),
        pytest.param(
            CONTENT + b"123",
            [
                "named .gz, not compressed: read all the same",
                "3 bytes after the end of the image are ignored",
            ],
            id="plain and more",
        ),
    ],
)
def test_all_that_gunzip_reads_is_read(tmp_path: Path, content: bytes, notes: list[str]) -> None:
    path = put(tmp_path / "x.nii.gz", content)
    found, said = whole_content(path, N)
    assert bytes(found[:N]) == CONTENT
    assert [note.text for note in said] == notes
    assert first_bytes(path, 800) == CONTENT[:800]


def test_a_compressed_file_without_gz_in_its_name_is_told(tmp_path: Path) -> None:
    (note,) = whole_content(put(tmp_path / "x.nii", PACKED), N)[1]
    assert note.text == "compressed, and its name does not end in .gz: read all the same"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(PACKED[:-1], id="without the last byte of the checksum"),
        pytest.param(PACKED[:20_000], id="in the middle"),
        pytest.param(gzip.compress(CONTENT[:-1]), id="a byte too few, packed whole"),
        pytest.param(
            gzip.compress(CONTENT[:-1]) + gzip.compress(CONTENT[-1:])[:-9],
            id="in the second member",
        ),
        pytest.param(CONTENT[:-1], id="plain"),
        pytest.param(b"", id="empty"),
    ],
)
def test_fewer_bytes_than_promised_are_found(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(EOFError, match=r"promises|before their end"):
        whole_content(put(tmp_path / "x.nii.gz", content), N)


def test_a_promise_that_the_file_cannot_hold_is_not_tried(tmp_path: Path) -> None:
    path = put(tmp_path / "x.nii.gz", PACKED)
    with pytest.raises(EOFError, match=r"which become \d+ at most"):
        whole_content(path, 1 << 50)


def bomb(n_bytes: int) -> bytes:
    """A small image, and behind it in the same member very many zeros."""
    data = np.ones((4, 5, 6), np.int16)
    image = header_bytes(data, sform=oblique_affine()) + data.tobytes()
    return gzip.compress(image + bytes(n_bytes), 9)


def test_data_that_inflate_without_end_are_left_after_a_while(tmp_path: Path) -> None:
    path = put(tmp_path / "x.nii.gz", bomb(300_000_000))
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    volume = read_volume(path)
    read_grid(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert volume.data.shape == (4, 5, 6)
    assert f"at least {MOST_AFTER_BYTES} bytes after the end of the image" in volume.notes[-1].text
    assert peak < 8 * MOST_AFTER_BYTES


@pytest.mark.parametrize("n_bytes", [0, 1, 3000], ids=["empty", "of a byte", "of 3 kB"])
def test_members_by_the_ten_thousand_keep_nobody_busy(tmp_path: Path, n_bytes: int) -> None:
    image, member = header_bytes(np.zeros((4, 4, 4), np.uint8)), gzip.compress(bytes(n_bytes))
    file = put(tmp_path / "sub-7_FLAIR.nii.gz", member * 20_000 + gzip.compress(image))
    with pytest.raises(ValueError, match="gzip members with"):
        whole_content(file, 1 << 20 if n_bytes < 3000 else 80 << 20)
    with pytest.raises(VolumeFault, match="cannot be read"):
        read_grid(put(tmp_path / "sub-8_FLAIR.nii.gz", gzip.compress(b"") * 20_000))
    behind = put(tmp_path / "sub-9_FLAIR.nii.gz", PACKED + member * 20_000)
    assert whole_content(behind, N)[0][:N] == CONTENT


def test_an_image_of_more_than_4_gib_is_a_fault_and_takes_no_memory(tmp_path: Path) -> None:
    data = np.ones((4, 5, 6), np.int16)
    header = bytearray(header_bytes(data, sform=oblique_affine()))
    header[42:48] = np.array([3000, 3000, 3000], "<i2").tobytes()  # 54 GB
    path = put(tmp_path / "x.nii", bytes(header))
    with path.open("r+b") as file:
        file.truncate(60_000_000_000)  # a sparse file: nothing of it is on the disk
    tracemalloc.start()
    with pytest.raises(VolumeFault, match="want an image of at most"):
        read_volume(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_a_fault_and_nobody_waits(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.nii.gz"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    for reader in (read_volume, read_grid):
        with pytest.raises(VolumeFault, match="it is a") as caught:
            reader(path)
        assert caught.value.code == "unreadable"
