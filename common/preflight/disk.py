"""Is there room for what a run writes?"""

from __future__ import annotations

import shutil
from pathlib import Path

from common.preflight.check import Check, not_checked, passed, problem

NAME = "disk"


def disk(folder: Path, *, needed_bytes: int, purpose: str) -> Check:
    """Free bytes where `folder` is, or will be, against an estimate of what is written there."""
    try:
        there = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
        free_bytes = shutil.disk_usage(there).free
    except OSError as error:
        return not_checked(NAME, f"{folder}: {error.strerror}")
    found = (
        f"{free_bytes / 1e9:.1f} GB free at {folder}, about {needed_bytes / 1e9:.1f} GB for "
        f"{purpose}"
    )
    if free_bytes < needed_bytes:
        return problem(NAME, found, "Free space there, or choose a folder on a larger disk.")
    return passed(NAME, found)


def folder_size_bytes(folder: Path) -> int:
    """Bytes of all files under `folder`; what cannot be read counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                total += path.stat().st_size
        except OSError:
            continue
    return total
