"""A site's node, from the folder that joined to the end of its work."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Event

from client.flower.launch import (
    host_and_port,
    supernode_command,
    supernode_environment,
    write_programs,
)
from client.flower.supernode import Supervisor
from client.site.membership import joined_kit
from client.site.site_folder import SiteFolder
from common.files import write_whole
from common.programs import LOOPBACK, free_port


def run_node(
    folder: SiteFolder, *, say: Callable[[str], None], stop: Event, health_port: int = 0
) -> None:
    """Runs the site's SuperNode until `stop` is set or the hospital leaves.

    say           takes one line for the person who watches
    health_port   of the gRPC health service on loopback, 0 for a free one; the address is written
                  to the folder's health_file at each start
    ConfigError where the folder has not joined; LesionFedError where a restart would not help.
    """
    kit = joined_kit(folder)
    superlink = host_and_port(kit.address, kit.port)
    folder.flwr_home.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_programs(folder.programs, standby_pipe=folder.standby_pipe)

    def command() -> list[str]:
        port = health_port or free_port()
        write_whole(folder.health_file, f"{LOOPBACK}:{port}\n".encode())
        return supernode_command(folder, superlink=superlink, health_port=port)

    say(f"{kit.site} joins {kit.federation} at {superlink}; the log is in {folder.logs}")
    Supervisor(
        folder,
        command=command,
        environment=supernode_environment(folder, os.environ),
        say=say,
        stop=stop,
    ).run()
