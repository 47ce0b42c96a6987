"""Where both commands start: what has to be so before any package of ours, or torch, is imported.

This file imports nothing of ours at its top. Another `common`, `client` or `server` that Python
finds first, as in a PYTHONPATH with a hospital's own tools, would be taken for ours.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

PACKAGES = ("common", "client", "server")

SPINS = "10000"
"""Turns for which a thread that has nothing to do looks for work before it sleeps; docs/adr/0052.
By itself GNU's OpenMP, with which torch computes, looks for some milliseconds: on a machine with
other work the threads then take the cores from the one they wait for."""


def coordinator() -> int:
    """`lesionfed`: exit code 0, 1 (failed), 2 (usage)."""
    if not _is_ready():
        return 1
    from server.cli import main

    return main()


def site() -> int:
    """`lesionfed-site`: exit code as `lesionfed`."""
    if not _is_ready():
        return 1
    from client.cli import main

    return main()


def shadowed() -> list[str]:
    """A sentence for each package of ours in whose place Python finds another one."""
    ours = Path(__file__).resolve().parent
    found = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = None if spec is None else spec.origin
        if origin is None or Path(origin).resolve() != ours / name / "__init__.py":
            where = (
                "nothing" if spec is None else origin or _folders(spec.submodule_search_locations)
            )
            found.append(f"package {name!r}: want LesionFed's own in {ours}, Python finds {where}.")
    return found


def _folders(places: object) -> str:
    return ", ".join(map(str, places)) if isinstance(places, list) else str(places)


def _is_ready() -> bool:
    """Whether the command can start; else what is in its place has been said."""
    # read once, when torch is loaded; inherited by every program that the command starts
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS
    wrong = shadowed()
    if not wrong:
        return True
    advice = "Start the command from another folder."
    if os.environ.get("PYTHONPATH"):
        advice = f"Start the command without PYTHONPATH (now {os.environ['PYTHONPATH']})."
    text = " ".join(["LesionFed cannot start:", *wrong, advice])
    # as `printable` of common/errors.py does, which cannot be imported here
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    print(shown, file=sys.stderr)
    return False
