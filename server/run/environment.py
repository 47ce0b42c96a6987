"""What a run was made with: machine, versions, and the commit of our own code."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path

from common.code_digest import code_digest

SHOWN = ("lesionfed", "flwr", "torch", "monai", "numpy", "scipy", "nibabel")
"""Packages that a report names; the lock names all."""


def environment() -> dict[str, object]:
    """Versions and machine, ready for JSON. commit: None where the code is in no git checkout."""
    return {
        "code_digest": code_digest(),
        "commit": code_commit(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "packages": {name: importlib.metadata.version(name) for name in SHOWN},
        "platform": platform.platform(),
        "python": platform.python_version(),
    }


def code_commit() -> str | None:
    """The commit that the running code comes from, `-modified` where files differ from it.

    From the checkout beside the packages; else from what the installer recorded; else None.
    """
    checkout = Path(__file__).parents[2]
    if (checkout / ".git").exists():
        try:
            commit = _git(checkout, "rev-parse", "HEAD")
            changed = _git(checkout, "status", "--porcelain", "--untracked-files=no")
        except (OSError, subprocess.SubprocessError):
            return None
        return f"{commit}-modified" if changed else commit
    recorded = importlib.metadata.distribution("lesionfed").read_text("direct_url.json")
    commit_id = json.loads(recorded or "{}").get("vcs_info", {}).get("commit_id")
    return None if commit_id is None else str(commit_id)


def _git(checkout: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - no shell, and nothing from outside in the arguments
        ["git", "-C", str(checkout), *arguments],  # noqa: S607 - the user's own git
        capture_output=True,
        check=True,
        text=True,
        timeout=10,
    )
    return done.stdout.strip()
