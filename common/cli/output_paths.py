"""What a command reads and writes, compared before anything is read: no input is written over."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.errors import ConfigError
from common.files import is_below, is_same_path, upwards

Named = Mapping[str, Path | None]
"""An option as the user knows it, such as `--image FLAIR`, -> its path; None: not given."""


def require_output_files(
    writes: Named,
    *,
    reads: Named,
    overwrite: bool = False,
    endings: Sequence[str] = (),
    make_folders: bool = False,
) -> None:
    """Nothing, or ConfigError where a file to write would cost the user another one.

    writes         option -> file to write
    reads          option -> file or folder that the command reads
    overwrite      whether a file that exists already may be written over; never one that is read
    endings        what the name of a file to write has to end with; none: anything
    make_folders   whether the command makes the folder of what it writes

    A file is the same under every name that leads to it: relative, by a link, or a hard link. Of a
    file that is not there yet, names that differ in small and capital letters alone count as one:
    on some disks they are.
    """
    written = [(option, path) for option, path in writes.items() if path is not None]
    read = [(option, path) for option, path in reads.items() if path is not None]
    for option, path in written:
        for other, source in read:
            if is_same_path(path, source):
                raise ConfigError(
                    f"{option} {path} is the same file as {other} {source}, which is read and "
                    f"would be lost. Give {option} another name."
                )
            if source.is_dir() and path.exists() and is_below(path, source):
                raise ConfigError(
                    f"{option} {path}: this file lies in the folder {other} {source}, which is "
                    f"read; it is not written over. Give {option} a name outside that folder."
                )
        if endings and not path.name.endswith(tuple(endings)):
            raise ConfigError(f"{option} {path}: want a file name in {' or '.join(endings)}")
    for (option, path), (other, second) in itertools.combinations(written, 2):
        if is_same_path(path, second):
            raise ConfigError(
                f"{option} {path} and {other} {second} are the same file, and one would be written "
                "over the other. Give them different names."
            )
    for option, path in written:
        _require_writable(option, path, overwrite=overwrite, make_folders=make_folders)


def require_output_folder(option: str, folder: Path, *, reads: Named) -> None:
    """Nothing, or ConfigError where the command cannot keep its files in `folder`.

    reads   option -> file or folder that the command reads

    Refused: a place that cannot be written, a folder that is read or lies in one that is read, and
    one that holds a folder that is read.
    """
    for other, source in reads.items():
        if source is not None and (is_below(folder, source) or _holds(folder, source)):
            raise ConfigError(
                f"{option} {folder} and {other} {source}: one is the other or lies inside it, so "
                f"that what is written would be taken for what is read. Give {option} a folder "
                "beside it."
            )
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{option} {folder}: want a folder, this is a file. Choose another name.")
    _require_writable_folder(option, folder, folder)


def require_input_files(reads: Named) -> None:
    """Nothing, or ConfigError where a file to read is absent, or two options name one file."""
    read = [(option, path) for option, path in reads.items() if path is not None]
    for option, path in read:
        if path.is_dir():
            raise ConfigError(f"{option} {path}: want a file, this is a folder. Name the file.")
        if not path.is_file():
            raise ConfigError(f"{option} {path}: no such file. Check the name and the folder.")
        if not os.access(path, os.R_OK):
            raise ConfigError(f"{option} {path}: may not be read. Ask for the right to read it.")
    for (option, path), (other, second) in itertools.combinations(read, 2):
        if is_same_path(path, second):
            raise ConfigError(
                f"{option} {path} and {other} {second} are the same file, and each wants its own. "
                "Correct one of them."
            )


def _holds(folder: Path, source: Path) -> bool:
    """Whether `source` is a folder that lies in `folder`; a file that is read may lie there."""
    return source.is_dir() and is_below(source, folder)


def _require_writable(option: str, path: Path, *, overwrite: bool, make_folders: bool) -> None:
    if path.is_dir():
        raise ConfigError(f"{option} {path}: want a file, this is a folder. Add the file's name.")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{option} {path}: want a file, this is a device. Choose another name.")
    if not make_folders and not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: no such folder {path.parent}. Make it first.")
    _require_writable_folder(option, path, path.parent)
    if (path.exists() or path.is_symlink()) and not overwrite:
        raise ConfigError(
            f"{option} {path}: there is a file of this name, and it is not written over. Choose "
            "another name, or give --overwrite."
        )


def _require_writable_folder(option: str, path: Path, folder: Path) -> None:
    """Nothing, or ConfigError where what is to be written in `folder` cannot be, or it made."""
    existing = next((above for above in upwards(folder) if above.exists()), None)
    if existing is None or not existing.is_dir():
        raise ConfigError(f"{option} {path}: {existing} is no folder. Choose another place.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(
            f"{option} {path}: the folder {existing} may not be written. Choose another place, or "
            "ask for the right to write there."
        )
