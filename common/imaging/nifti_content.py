"""The bytes of an image file, compressed or not, and little more of them than are wanted."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

from common.files import require_file
from common.imaging.file_note import FileNote

PACKED = b"\x1f\x8b"
"""How a gzip member begins."""

MOST_AFTER_BYTES = 1 << 20
"""How far compressed data are followed behind the image: to their checksum, not to the end of a
file made to fill the memory. Chosen."""

LARGEST_BYTES = 4 << 30
"""A header that promises more is damaged: no scan of a head comes near. Chosen."""

MOST_BEFORE_BYTES = 64 << 20
"""Of a header and its extensions: more would be inflated for a few voxels. Chosen."""

INFLATES_AT_MOST = 1032
"""Bytes that one compressed byte can become (zlib's technical details)."""

MEMBERS_AT_LEAST = 1000
MEMBER_BYTES = 4096
"""So many gzip members a file may have, and one more for each so many bytes of content: each costs
some 20 µs, also an empty one of 20 bytes. bgzip's hold 64 kB. Chosen."""

_CHUNK = 1 << 20
_MOST_PADDING_CHUNKS = 64
_GZIP = 31
"""zlib's word for: a gzip header, a checksum, a window of 32 kB."""


def first_bytes(path: Path, n_bytes: int) -> bytes:
    """The first bytes of the content, decompressed; fewer where there are no more.

    Damage behind them is not noticed. OSError, zlib.error, EOFError: cannot be read so far.
    """
    with _opened(path) as file:
        if _is_packed(file):
            return bytes(_inflated(file, most=n_bytes, enough=n_bytes)[0])
        return file.read(n_bytes)


def whole_content(
    path: Path, n_bytes: int, *, n_before: int = 0
) -> tuple[bytes | bytearray, tuple[FileNote, ...]]:
    """The content's first `n_bytes` and a little more, and what else is in the file.

    n_bytes   what the header promises, its own bytes among them
    n_before  how many of them stand before the voxels
    Compressed data may be several gzip members; what follows the last one is ignored, as gunzip
    does. gzip's checksums are verified, except of data that go on for more than MOST_AFTER_BYTES.
    EOFError: there are fewer bytes. ValueError: the promise is absurd. OSError, zlib.error: cannot
    be read, or is damaged.
    """
    with _opened(path) as file:
        size, packed = _size(file), _is_packed(file)
        if packed and size * INFLATES_AT_MOST < n_bytes:
            raise EOFError(
                f"the header promises {n_bytes} bytes, the file has {size} compressed ones, which "
                f"become {size * INFLATES_AT_MOST} at most"
            )
        if not packed and size < n_bytes:
            raise EOFError(f"the header promises {n_bytes} bytes, the file has {size}")
        if n_bytes > LARGEST_BYTES:
            raise ValueError(f"want an image of at most {LARGEST_BYTES} bytes, found {n_bytes}")
        if n_before > MOST_BEFORE_BYTES:
            raise ValueError(f"want voxels from byte {MOST_BEFORE_BYTES} at most, found {n_before}")
        content: bytes | bytearray
        if packed:
            content, n_after = _inflated(file, most=n_bytes + MOST_AFTER_BYTES, enough=n_bytes)
        else:
            content, n_after = file.read(n_bytes), size - n_bytes
    if len(content) < n_bytes:
        raise EOFError(f"the header promises {n_bytes} bytes, the file has {len(content)}")
    notes = _named_otherwise(path, packed)
    if n_more := len(content) - n_bytes:
        at_least = "at least " if n_more == MOST_AFTER_BYTES else ""
        notes.append(_after(f"{at_least}{n_more}", "the image"))
    if n_after:
        notes.append(_after(str(n_after), "the compressed data" if packed else "the image"))
    return content, tuple(notes)


def _opened(path: Path) -> BinaryIO:
    require_file(path)
    return path.open("rb")


def _size(file: BinaryIO) -> int:
    size = file.seek(0, 2)
    file.seek(0)
    return size


def _is_packed(file: BinaryIO) -> bool:
    start = file.read(len(PACKED))
    file.seek(0)
    return start == PACKED


def _inflated(file: BinaryIO, *, most: int, enough: int) -> tuple[bytearray, int]:
    """The content of all gzip members, up to `most` bytes, and how many bytes of the file follow.

    enough   bytes after which what follows a member and cannot be read is no part of the content
    """
    content = bytearray()
    n_members = 0
    begun, ends_at = 0, 0  # where the member begins in the content, and the last one in the file
    member = zlib.decompressobj(_GZIP)
    n_chunk = min(_CHUNK, max(most, 1 << 16))
    chunk = file.read(n_chunk)
    while len(content) < most:
        try:
            content += member.decompress(chunk, most - len(content))
        except zlib.error:
            if ends_at and begun >= enough:
                break
            raise
        if member.eof:
            begun, ends_at = len(content), file.tell() - len(member.unused_data)
            chunk = _behind_padding(file, member.unused_data)
            if not chunk.startswith(PACKED):
                break
            n_members += 1
            if n_members > MEMBERS_AT_LEAST + len(content) // MEMBER_BYTES:
                if begun >= enough:
                    break
                raise ValueError(f"{n_members} gzip members with {len(content)} bytes in all")
            member = zlib.decompressobj(_GZIP)
            continue
        chunk = member.unconsumed_tail or file.read(n_chunk)
        if not chunk:
            if ends_at and begun >= enough:
                break
            if len(content) < most:
                raise EOFError("the compressed data stop before their end")
    else:
        return content, 0
    del content[begun:]
    return content, _size(file) - ends_at


def _behind_padding(file: BinaryIO, chunk: bytes) -> bytes:
    """What comes after zeros: at least two bytes of it, where there are two within 64 MB."""
    chunk = chunk.lstrip(b"\0")
    for _ in range(_MOST_PADDING_CHUNKS):
        if len(chunk) >= len(PACKED) or not (more := file.read(_CHUNK)):
            break
        chunk = (chunk + more).lstrip(b"\0")
    return chunk


def _named_otherwise(path: Path, packed: bool) -> list[FileNote]:
    """A note on a name that says compressed of a plain file, or the other way round."""
    if packed == path.name.lower().endswith(".gz"):
        return []
    found = (
        "compressed, and its name does not end in .gz" if packed else "named .gz, not compressed"
    )
    return [
        FileNote(
            level="note",
            code="suffix",
            text=f"{found}: read all the same",
            fix="Rename it or compress it: other programs may refuse it.",
        )
    ]


def _after(n_bytes: str, where: str) -> FileNote:
    return FileNote(
        level="note",
        code="bytes-after-end",
        text=f"{n_bytes} bytes after the end of {where} are ignored",
        fix="Nothing to do where the file was padded by a copy; else copy it again.",
    )
