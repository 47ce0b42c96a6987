"""A folder that appears complete or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import ConfigError


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Where to write; it becomes `out` when the block ends well, and is deleted when it fails.

    out   a new or empty folder
    """
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        if out.exists():
            out.rmdir()
        part.rename(out)
    except OSError as error:
        raise ConfigError(
            f"{out}: cannot be written: {error}. Choose a folder you may write to, on a disk with "
            "room."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def refuse_filled(out: Path) -> None:
    """Raises ConfigError when `out` is a file, or a folder with something in it."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"{out}: want a new or empty folder, found something there. "
            "Choose another folder or empty this one."
        )
