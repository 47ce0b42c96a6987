"""Is a node of this site at work, and does it answer?"""

from __future__ import annotations

import socket

from client.site.site_folder import SiteFolder
from common.preflight.check import Check, not_checked
from common.preflight.health import TIMEOUT_S, grpc_health

NAME = "SuperNode's health"


def running_node(folder: SiteFolder) -> Check:
    """What the running SuperNode says of itself; not-checked where none runs, which is no fault."""
    try:
        address = folder.health_file.read_text(encoding="ascii").strip()
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S):
            pass
    except (OSError, ValueError):
        return not_checked(NAME, "no node of this site runs now")
    fix = f"Read {folder.logs}, then end `lesionfed-site run` and start it anew."
    return grpc_health("SuperNode", port=int(port), fix=fix)
