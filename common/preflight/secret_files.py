"""Are the secrets their owner's only?"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from common.preflight.check import Check, passed, problem

NAME = "secret files"

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def secret_files(paths: Sequence[Path], *, made_by: str) -> Check:
    """Passed where each file is there and neither group nor others may do anything with it.

    made_by   the command that makes a missing one
    """
    try:
        missing = [path for path in paths if not path.is_file()]
        open_ones = [path for path in paths if path.is_file() and path.stat().st_mode & OTHERS]
    except OSError as error:
        found = f"{error.filename}: {error.strerror}"
        return problem(NAME, found, "Run this as the user whom the files belong to.")
    if missing:
        return problem(NAME, f"missing: {_names(missing)}", f"Make it: {made_by}.")
    if open_ones:
        return problem(
            NAME,
            f"others on this machine may use {_names(open_ones)}",
            f"chmod 600 {_names(open_ones)}, and make new ones if anyone else had access.",
        )
    return passed(NAME, f"{', '.join(path.name for path in paths)}: 0600")


def _names(paths: Sequence[Path]) -> str:
    return " ".join(str(path) for path in paths)
