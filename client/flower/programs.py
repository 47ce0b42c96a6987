"""What stands first on the SuperNode's PATH: our way to start a task, and a refusal of the rest."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from client.flower import ask_standby

OURS = "flwr-clientapp"

REFUSED = ("flwr-agentapp", "flwr-connector", "flwr-model", "flwr-serverapp", "flwr-simulation")
"""Flower's other programs. The coordinator's server says which kind of task a message is, and an
agent's would unpack the bundle and run the code in it, past our guard. A hospital runs none."""


def write_programs(folder: Path, *, standby_pipe: Path) -> None:
    """Writes the programs into `folder`, made if need be; each is a script of a few lines.

    standby_pipe   where the process that waits with everything imported takes work
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # -P: the folder that the SuperNode was started in is not searched for modules
    program = [sys.executable, "-P", "-m", "client.flower.clientapp"]
    ask = [sys.executable, "-I", "-S", str(Path(ask_standby.__file__).resolve())]
    words = [*ask, str(standby_pipe.resolve()), str(len(program)), *program]
    _write(folder / OURS, f'exec {shlex.join(words)} "$@"')
    for name in REFUSED:
        _write(folder / name, f'echo "{name}: refused; a site runs {OURS} only" >&2\nexit 1')


def _write(path: Path, lines: str) -> None:
    path.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
    path.chmod(0o700)
