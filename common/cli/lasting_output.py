"""Output that nobody may read any more: whoever looks at a command must not be able to end it."""

from __future__ import annotations

import errno
import io
import sys
from typing import Final

GONE: Final = frozenset({errno.EPIPE, errno.EIO, errno.EBADF})
"""The reader has ended (`| head`), the terminal is closed, the descriptor is: nobody wants it."""


class LastingOutput(io.FileIO):
    """An open descriptor for writing, whose failures are kept instead of raised.

    fault   the first one; None while everything could be written
    """

    fault: OSError | None = None

    def write(self, content: object, /) -> int:
        """How many bytes were taken: all, also where they are lost."""
        view = memoryview(content)  # type: ignore[arg-type] # what io's buffer gives
        if self.fault is None:
            try:
                return super().write(view) or 0
            except OSError as error:
                self.fault = error
        return view.nbytes


def outlast_readers() -> None:
    """From now on this process prints on where reader or terminal are gone, into nothing.

    Streams that something else has put in place, such as a test, stay.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        sys.stdout = _lasting(sys.stdout)
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr is sys.__stderr__:
        sys.stderr = _lasting(sys.stderr)


def lost_output() -> OSError | None:
    """Why a part of stdout that somebody may be waiting for is lost, such as on a full disk."""
    try:
        sys.stdout.flush()
        raw = getattr(sys.stdout.buffer, "raw", None)
    except (AttributeError, ValueError):
        return None
    if not isinstance(raw, LastingOutput) or raw.fault is None or raw.fault.errno in GONE:
        return None
    return raw.fault


def _lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    try:
        stream.flush()
        raw = LastingOutput(stream.fileno(), "wb", closefd=False)
    except (OSError, ValueError):
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
