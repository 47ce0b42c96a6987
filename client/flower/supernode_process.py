"""Flower's SuperNode as a process: `python -m client.flower.supernode_process PARENT PIPE ...`

Flower's program as it is, with six things around it:

it ends with its parent   `lesionfed-site run` may be killed without a chance to end what it
                          started: a SuperNode of another parent ends itself within 1 s
it ends when it is done   after an error in its loop (a torn TLS handshake is enough) Flower leaves
                          the loop and signs off, but the process stays alive forever behind its
                          own runtime port: then the process is ended, and restarted
no bundle is opened       Flower reads the bundle's run settings here, in memory and without a
                          bound; a site has no use for them
it goes nowhere else       no redirect of the coordinator's is followed, no answer inflated
                          (common/preflight/plain_fleet_client.py)
each reply in its turn    not one message late forever after the server died (reply_order.py)
a process waits for work  with everything imported (standby.py), so that a ClientApp begins at once.
                          Not where there is an NVIDIA driver: a fork cannot use CUDA once its
                          parent has looked for devices, as an import may do
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from flwr.supernode import fleet_http_connection
from flwr.supernode import start_client_internal as node_loop
from flwr.supernode.cli.flower_supernode import flower_supernode

from client.flower.reply_order import push_until_answered
from common.cli.escaped_log import escape_log
from common.preflight.plain_fleet_client import PlainFleetClient
from common.programs import replace_parts, with_parent

LOST = 75
"""Exit code where Flower's loop ended by itself (EX_TEMPFAIL)."""

FORCE_S = 15.0
"""How long an orphan may take to sign off; Flower forces its own end after 5 s."""

STANDBY_PAUSE_S = 60.0
"""Before a process on standby that has died is restarted; meanwhile work starts its own."""

NVIDIA = Path("/dev/nvidiactl")


def main() -> int:
    """Runs Flower's program with the arguments after the parent's process id and the pipe."""
    parent, pipe = int(sys.argv.pop(1)), sys.argv.pop(1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if not NVIDIA.exists():
        threading.Thread(target=_keep_standby, args=(pipe,), daemon=True).start()
    escape_log()
    replace_parts(node_loop, node_parts())
    replace_parts(fleet_http_connection, {"FleetHttpClient": PlainFleetClient})
    flower_supernode()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(LOST)  # its runtime port's thread would wait forever


def node_parts() -> dict[str, object]:
    """Flower's names in its node's loop -> what takes their place."""
    push_messages: Any = getattr(node_loop, "_push_messages", None)
    return {
        "get_fused_config_from_fab": lambda *_: {},
        "_push_messages": push_until_answered(push_messages),
    }


def _keep_standby(pipe: str) -> None:
    """Starts the process on standby, and restarts it for as long as this one lives."""
    command = with_parent([sys.executable, "-P", "-m", "client.flower.standby", pipe])
    while True:
        subprocess.run(command, stdin=subprocess.DEVNULL, check=False)  # noqa: S603 - our own
        time.sleep(STANDBY_PAUSE_S)


def _end_with(parent: int) -> None:
    """Asks this process to end once it has another parent, and forces it after FORCE_S seconds."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(FORCE_S)
    os._exit(LOST)


if __name__ == "__main__":
    sys.exit(main())
