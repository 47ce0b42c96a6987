"""What can go wrong, as one tree.

LesionFedError
├── ConfigError        a recipe, a settings file or an option cannot be used as written
├── SiteDataError      a site's images, masks or tables cannot be used
├── GeometryError      two images that must share a grid do not
├── WireError          a message from the other side cannot be read or believed
│   ├── UpdateRejected     a reply that would spoil the aggregate (NaN, wrong shape, no cases)
│   └── CodeMismatch       the two sides run different code
├── PolicyRefused      the site's policy does not let this leave the site
│   └── BundleRefused      the coordinator's app bundle holds more than settings
├── QuorumNotMet       too few sites came, or too few sent something usable
├── RunStopped         the coordinator has asked the run to end
├── FlowerError        one of Flower's own programs refuses, ends or does not answer
├── RunFolderError     a run folder cannot be started, resumed or read
│   └── CheckpointError    a checkpoint is incomplete or damaged
└── ModelFileError     a model file cannot be read or does not fit what is asked of it

Every text says what was expected, what was found, where, and what to do next. Texts hold paths
and subject labels, so they stay where they arise: only the class name and `code` cross the wire.
"""

from __future__ import annotations

import errno
import os


def printable(text: object) -> str:
    r"""The text as any terminal, page and log takes it: what cannot be printed stands as `\xfc`.

    text   a path or a word out of a site's files

    The bytes of a file name need be no UTF-8 (an old Windows share has latin-1), and may hold line
    breaks and escape sequences; written as they are, the first would end a command by an exception.
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(char if char.isprintable() else _escaped(char) for char in plain)


def printable_lines(text: str) -> str:
    """The text with its line breaks, and every line of it printable."""
    return "\n".join(map(printable, text.split("\n")))


def _escaped(char: str) -> str:
    if 0xDC80 <= ord(char) <= 0xDCFF:  # how Python holds a byte that is no UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


class LesionFedError(Exception):
    """Base of every error LesionFed raises on purpose. Its text can be printed, line by line.

    code   a short word that may leave the site; the text may not
    """

    code = "error"

    def __init__(self, text: str, *, code: str | None = None) -> None:
        super().__init__(printable_lines(text))
        if code is not None:
            self.code = code


class ConfigError(LesionFedError):
    """A recipe, a settings file or an option cannot be used as written."""

    code = "config"


class SiteDataError(LesionFedError):
    """A site's images, masks or tables cannot be used."""

    code = "site-data"


class GeometryError(LesionFedError):
    """Two images that must share a grid do not."""

    code = "geometry"


class WireError(LesionFedError):
    """A message from the other side cannot be read or believed."""

    code = "wire"


class UpdateRejected(WireError):
    """A reply that would spoil the aggregate."""

    code = "update-rejected"


class CodeMismatch(WireError):
    """The two sides run different code."""

    code = "code-mismatch"


class PolicyRefused(LesionFedError):
    """The site's policy does not let this leave the site."""

    code = "policy"


class BundleRefused(PolicyRefused):
    """The coordinator's app bundle holds more than settings."""

    code = "bundle-has-code"


class QuorumNotMet(LesionFedError):
    """Too few sites came, or too few sent something usable."""

    code = "quorum"


class RunStopped(LesionFedError):
    """The coordinator has asked the run to end."""

    code = "stopped"


class FlowerError(LesionFedError):
    """One of Flower's own programs refuses, ends or does not answer."""

    code = "flower"


class RunFolderError(LesionFedError):
    """A run folder cannot be started, resumed or read."""

    code = "run-folder"


class CheckpointError(RunFolderError):
    """A checkpoint is incomplete or damaged."""

    code = "checkpoint"


class ModelFileError(LesionFedError):
    """A model file cannot be read or does not fit what is asked of it."""

    code = "model-file"


SYSTEM_ADVICE = {
    "disk": "Free space there.",
    "open-files": "Raise the limit on open files (`ulimit -n 4096`; in a systemd unit LimitNOFILE) "
    "and start again.",
    "no-permission": "Let the user of this program read and write there.",
    "disk-fault": "The disk, or the share that is mounted there, does not answer as it should: see "
    "the system's log, and mount it again.",
    "not-there": "Put it back, or correct the path.",
    "system": "The system says no more than this.",
}
"""Code of what the system refuses -> what to do about it."""

_SYSTEM_CODES = {
    "disk": (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    "open-files": (errno.EMFILE, errno.ENFILE),
    "no-permission": (errno.EACCES, errno.EPERM, errno.EROFS),
    "disk-fault": (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO),
    "not-there": (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR),
}


def system_code(error: OSError) -> str:
    """A short word for what the system has refused, such as "disk" for a full one."""
    return next((code for code, of in _SYSTEM_CODES.items() if error.errno in of), "system")


def system_error_text(error: OSError) -> str:
    """File, cause and what to do; without a file where the system names none."""
    name = error.filename
    where = (
        ""
        if name is None
        else f"{printable(os.fsdecode(name) if isinstance(name, bytes) else name)}: "
    )
    return f"{where}{error.strerror or error}. {SYSTEM_ADVICE[system_code(error)]}"
