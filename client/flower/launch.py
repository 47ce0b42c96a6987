"""How one SuperNode is started: its command and its environment."""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
from collections.abc import Mapping

from client.site.site_folder import SiteFolder
from common.errors import ConfigError

LOOPBACK = "127.0.0.1"

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
    "PYTHONUNBUFFERED": "1",
}
"""Nothing is reported to Flower's makers, looked up or installed; a task is begun within 0.1 s."""


def supernode_command(folder: SiteFolder, *, superlink: str, health_port: int) -> list[str]:
    """The command that runs this site's SuperNode, for `lesionfed-site run` as its parent.

    superlink     the coordinator's server, `address:port`
    health_port   where on loopback the health service answers
    """
    # of the folder, not of what a link may point to: `paused` and `left` are looked for beside it
    settings = str(folder.path.resolve() / folder.settings_file.name)
    if '"' in settings or "\\" in settings:
        raise ConfigError(f"{settings}: the path may hold no quote and no backslash. Move it.")
    health = f"{LOOPBACK}:{health_port}"
    options = {
        "--superlink": superlink,
        "--root-certificates": str(folder.authority_file),
        "--auth-supernode-private-key": str(folder.key_file),
        "--node-config": f'site="{settings}"',
        "--host": LOOPBACK,
        "--port": str(free_port()),
        "--health-server-address": health,
    }
    pairs = [part for option in options.items() for part in option]
    program = [sys.executable, "-P", "-m", "client.flower.supernode_process"]
    return [*program, str(os.getpid()), str(folder.standby_pipe.resolve()), *pairs]


def supernode_environment(folder: SiteFolder, environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with Flower at home in the folder, quiet, and our programs first on PATH."""
    path = [str(folder.programs), sysconfig.get_path("scripts"), environment.get("PATH", "")]
    changed = {**environment, **QUIET, "FLWR_HOME": str(folder.flwr_home)}
    changed["PATH"] = os.pathsep.join(part for part in path if part)
    for name in ("NO_PROXY", "no_proxy"):  # its own processes talk over loopback
        direct = [environment.get(name, ""), LOOPBACK, "localhost"]
        changed[name] = ",".join(part for part in direct if part)
    return changed


def host_and_port(address: str, port: int) -> str:
    """`address:port`, with brackets around an IPv6 address."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
