"""What stands first on the SuperNode's PATH: our way to start a task, and a refusal of the rest."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

OURS = "flwr-clientapp"

REFUSED = ("flwr-agentapp", "flwr-connector", "flwr-model", "flwr-serverapp", "flwr-simulation")
"""Flower's other programs. The coordinator's server says which kind of task a message is, and an
agent's would unpack the bundle and run the code in it, past our guard. A hospital runs none."""


def write_programs(folder: Path) -> None:
    """Writes the programs into `folder`, made if need be; each is a script of a few lines."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # -P: the folder that the SuperNode was started in is not searched for modules
    ours = f'exec {shlex.quote(sys.executable)} -P -m client.node.clientapp "$@"'
    _write(folder / OURS, ours)
    for name in REFUSED:
        _write(folder / name, f'echo "{name}: refused; a site runs {OURS} only" >&2\nexit 1')


def _write(path: Path, lines: str) -> None:
    path.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
    path.chmod(0o700)
