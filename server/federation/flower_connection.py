"""How Flower's own commands find the SuperLink of a federation."""

from __future__ import annotations

import tomli_w

from common.files import SECRET, write_whole
from common.programs import LOOPBACK
from server.federation.federation_folder import FederationFolder, FederationSettings

CONNECTION = "federation"
"""What Flower's own configuration calls the SuperLink of this folder."""


def write_connection(folder: FederationFolder, settings: FederationSettings) -> None:
    """Writes into Flower's own configuration where this federation's SuperLink is."""
    connection = {
        "address": f"{LOOPBACK}:{settings.superlink_port}",
        "root-certificates": str(folder.authority_file.resolve()),
    }
    table = {"superlink": {"default": CONNECTION, CONNECTION: connection}}
    folder.flwr_home.mkdir(parents=True, exist_ok=True)
    write_whole(folder.flwr_home / "config.toml", tomli_w.dumps(table).encode(), mode=SECRET)
