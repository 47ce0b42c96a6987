"""Bounds what a site stores from one run for the next: older files are removed."""

from __future__ import annotations

from pathlib import Path

KEPT = 2
"""Files kept in such a folder: two runs may take turns at a site."""


def remove_older_than(written: Path) -> None:
    """Removes from the folder of `written` all but the newest arrays, itself among those kept."""
    others = [path for path in written.parent.glob("*.safetensors") if path != written]
    others.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for old in others[KEPT - 1 :]:
        old.unlink(missing_ok=True)
