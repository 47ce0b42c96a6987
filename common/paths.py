"""Whether two paths lead to one file or folder: relative, by links, by hard links or mounts."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path


def is_same_path(a: Path, b: Path) -> bool:
    """Whether both lead to one file or folder, which need not exist yet.

    Of what is not there yet, names that differ in small and capital letters alone count as one: on
    some disks they are.
    """
    try:
        return os.path.samefile(a, b)
    except OSError:  # one of them is not there, or may not be looked at: their names have to tell
        return _plain(a) == _plain(b)


def is_below(path: Path, folder: Path) -> bool:
    """Whether `path` is `folder`, an existing one, or lies in it at any depth."""
    return any(_is_same_existing(above, folder) for above in upwards(path))


def upwards(path: Path) -> Iterator[Path]:
    """The full path without links, and every folder above it."""
    resolved = _resolved(path)
    yield resolved
    yield from resolved.parents


def _plain(path: Path) -> str:
    return unicodedata.normalize("NFC", str(_resolved(path))).casefold()


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        return path.absolute()


def _is_same_existing(a: Path, b: Path) -> bool:
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False
