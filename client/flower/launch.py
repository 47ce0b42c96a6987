"""How a site's SuperNode is started: its command, its environment, the programs it finds first."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from client.flower import ask_standby
from client.site.site_folder import SiteFolder
from common.errors import ConfigError
from common.programs import LOOPBACK, flower_environment, free_port, options

OURS = "flwr-clientapp"
SUPEREXEC = "flower-superexec"
"""The SuperNode starts this one, and this one `flwr-clientapp`."""

REFUSED = ("flwr-agentapp", "flwr-connector", "flwr-model", "flwr-serverapp", "flwr-simulation")
"""Flower's other programs. The coordinator's server says which kind of task a message is, and an
agent's would unpack the bundle and run the code in it, past our guard. A hospital runs none."""


def supernode_command(folder: SiteFolder, *, superlink: str, health_port: int) -> list[str]:
    """The command that runs this site's SuperNode, for `lesionfed-site run` as its parent.

    superlink     the coordinator's server, `address:port`
    health_port   where on loopback the health service answers
    """
    # of the folder, not of what a link may point to: `paused` and `left` are looked for beside it
    place = folder.path.resolve()
    settings, kit = (
        str(place / f.relative_to(folder.path)) for f in (folder.settings_file, folder.kit_file)
    )
    if '"' in settings or "\\" in settings:
        raise ConfigError(f"{settings}: the path may hold no quote and no backslash. Move it.")
    values = {
        "--superlink": superlink,
        "--root-certificates": folder.authority_file,
        "--auth-supernode-private-key": folder.key_file,
        "--node-config": f'site="{settings}" kit="{kit}"',
        "--host": LOOPBACK,
        "--port": free_port(),
        "--health-server-address": f"{LOOPBACK}:{health_port}",
    }
    program = [sys.executable, "-P", "-m", "client.flower.supernode_process"]
    return [*program, str(os.getpid()), str(folder.standby_pipe.resolve()), *options(values)]


def supernode_environment(folder: SiteFolder, environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with Flower at home in the folder, quiet, and our programs first on PATH."""
    return flower_environment(environment, home=folder.flwr_home, first=[folder.programs])


def write_programs(folder: Path, *, standby_pipe: Path) -> None:
    """Writes what is to stand first on the SuperNode's PATH; each is a script of a few lines.

    folder         made if need be
    standby_pipe   where the process that waits with everything imported takes work
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # -P: the folder that the SuperNode was started in is not searched for modules
    program = [sys.executable, "-P", "-m", "client.flower.clientapp"]
    ask = [sys.executable, "-I", "-S", str(Path(ask_standby.__file__).resolve())]
    words = [*ask, str(standby_pipe.resolve()), str(len(program)), *program]
    _write_script(folder / OURS, f'exec {shlex.join(words)} "$@"')
    superexec = [sys.executable, "-P", "-m", "client.flower.superexec_process"]
    _write_script(folder / SUPEREXEC, f'exec {shlex.join(superexec)} "$@"')
    for name in REFUSED:
        refusal = f'echo "{name}: refused; a site runs {OURS} only" >&2\nexit 1'
        _write_script(folder / name, refusal)


def host_and_port(address: str, port: int) -> str:
    """`address:port`, with brackets around an IPv6 address."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _write_script(path: Path, lines: str) -> None:
    path.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
    path.chmod(0o700)
