"""nginx's logs, which face the network: each refusal is a line, and anybody can be refused."""

from __future__ import annotations

import shutil

from common.programs import copy_and_empty
from server.federation.federation_folder import FederationFolder

KEEP_BYTES = 16 << 20
"""A log larger than this is rotated; the one before it is kept as .1"""
ROOM = 4
"""Times the log's size that must be free for its copy."""


def rotate_proxy_logs(folder: FederationFolder) -> None:
    """Copies a log that has grown past KEEP_BYTES to .1 and empties it where it is.

    nginx holds it open and continues in the same file, no matter who started it. Where there is
    little room for a copy the log stays as it is: the rest of the disk is for checkpoints.
    """
    for name in ("access.log", "error.log"):
        log = folder.proxy_file.with_name(name)
        if not log.is_file() or log.stat().st_size < KEEP_BYTES:
            continue
        if shutil.disk_usage(log.parent).free >= ROOM * log.stat().st_size:
            copy_and_empty(log).replace(log.with_name(f"{name}.1"))
