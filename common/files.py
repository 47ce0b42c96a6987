"""Files that are complete or absent, files for one user alone, locks between processes, and whether
two paths lead to one file: relative, by links, by hard links or mounts."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from common.errors import ConfigError, LesionFedError

SECRET = 0o600
"""The mode of a file that only its owner may read."""
OWNER_ONLY = 0o077
"""The umask: nothing for the group, nothing for others."""
POLL_S = 0.02


def write_whole(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Writes `content` beside `path`, forces it to disk, and renames it into place.

    mode   of the file, less the umask, before the first byte is there

    A reader sees the old file or the new one, never a part; a failure (OSError) leaves the old one.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with naming(path), os.fdopen(os.open(partial, flags, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Gives an OSError inside that names no file this one: a write to an open file names none."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def require_file(path: Path) -> None:
    """Raise OSError unless `path`, or what it links to, is a file with an end.

    A pipe waits for somebody to write into it, before it is even open, and a device never ends.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError("it is a folder" if stat.S_ISDIR(mode) else "it is a pipe or a device")


def limited_bytes(path: Path, most: int) -> bytes:
    """The content of a file; OSError where it is none, ValueError where it is longer."""
    require_file(path)
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"want at most {most} bytes, found more")
    return content


def require_utf8(path: Path, *, what: str) -> None:
    """Raise ConfigError where a path cannot be written into a file of settings or of JSON.

    what   the option or the role, as the user knows it
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{what} {path}: want a path in UTF-8, found bytes that are none. Rename the folder in "
            "letters and digits."
        ) from None


@contextmanager
def owner_only() -> Iterator[None]:
    """No other user may read what this process, and those it starts meanwhile, write in the block.

    Of the whole process, not of one thread: it sets the umask.
    """
    before = os.umask(OWNER_ONLY)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def locked(
    path: Path, *, busy: LesionFedError | None = None, wait_s: float = 0.0
) -> Iterator[BinaryIO]:
    """Holds the lock on `path` for the block; the file, made where need be, to read and append to.

    busy     raised where another holds the lock for longer than `wait_s`; None: waits for its turn

    The lock ends with the process, however that ends. LesionFedError where the file system has no
    locks. Not to be entered twice by one caller: it would wait for itself.
    """
    with path.open("a+b") as file:
        if busy is None:
            _flock(file, path, fcntl.LOCK_EX)
        else:
            until = time.monotonic() + wait_s
            while not _flock(file, path, fcntl.LOCK_EX | fcntl.LOCK_NB):
                if time.monotonic() > until:
                    raise busy
                time.sleep(POLL_S)
        yield file


def is_locked(path: Path) -> bool:
    """Whether anybody holds the lock on `path` now.

    Takes a shared lock for an instant: a process that wants the lock just then must try twice.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return False
    with file:
        return not _flock(file, path, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _flock(file: BinaryIO, path: Path, how: int) -> bool:
    """Whether the lock is ours now; False where it is another's and `how` does not wait."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError as error:
        raise LesionFedError(
            f"{path}: the file system here ({_file_system(file)}) has no file locks: "
            f"{error.strerror}. Put the folder on a local disk, or have the file system mounted "
            "with locks (Lustre: -o flock; NFS: a lock daemon).",
            code="no-file-locks",
        ) from None
    return True


def _file_system(file: BinaryIO) -> str:
    """Its type, such as nfs4 or lustre, by Linux's list of mounts."""
    device = os.fstat(file.fileno()).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
            mount, _, kind = line.partition(" - ")
            if wanted in mount.split():
                return kind.split()[0]
    return "of unknown type"


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
