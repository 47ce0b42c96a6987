"""lesionfed-site run: take part, for as long as the command runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from threading import Event

FolderOption = Annotated[
    Path,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        exists=True,
        file_okay=False,
        help="The site's folder, as made by lesionfed-site init.",
        show_default=False,
    ),
]


def run(
    folder: FolderOption,
    health_port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            help="Port on 127.0.0.1 of the node's gRPC health service; 0: a free one, which is "
            "written to flwr-home/health-address.",
        ),
    ] = 0,
) -> None:
    """Take part in the federation until you stop it (Ctrl-C).

    Connects to the coordinator, does the work that is sent, comes back after a crash (60 s) or a
    cut line. Needs a folder that has joined. Only what the policy in site.toml allows leaves.
    """
    from client.flower.run_node import take_part  # pydantic and cryptography: kept from --help
    from client.site.site_folder import SiteFolder
    from common.files import owner_only

    site_folder = SiteFolder(folder.resolve())
    if site_folder.paused_file.exists():
        _say("paused: no work is taken until lesionfed-site unpause")
    with owner_only(), _stopped_by_signals() as stop:
        take_part(site_folder, tell=_say, stop=stop, health_port=health_port)
    _say("ended")


def _say(line: str) -> None:
    from datetime import datetime

    typer.echo(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {line}")


def _stopped_by_signals() -> AbstractContextManager[Event]:
    """An event that SIGINT and SIGTERM set; a second signal does no more than the first."""
    import signal
    import threading
    from contextlib import contextmanager

    @contextmanager
    def held() -> Iterator[Event]:
        stop = threading.Event()
        before = {
            number: signal.signal(number, lambda *_: stop.set())
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    return held()
