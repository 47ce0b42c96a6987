"""lesionfed-site run: take part, for as long as the command runs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Event
from typing import Annotated

import typer

from client.cli.options import SiteFolderOption
from common.cli.signals import ENDING, on_end


def run(
    folder: SiteFolderOption,
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
    from client.flower.run_node import run_node  # pydantic and cryptography: kept from --help
    from client.site.site_folder import SiteFolder
    from common.files import owner_only

    site_folder = SiteFolder(folder.resolve())
    if site_folder.paused_file.exists():
        _say("paused: no work is done until lesionfed-site unpause")
    with owner_only(), _stopped_by_signals() as stop:
        run_node(site_folder, say=_say, stop=stop, health_port=health_port)
    _say("ended")


def _say(line: str) -> None:
    typer.echo(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {line}")


@contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    """An event that Ctrl-C and `on_end` set; a second signal does no more than the first."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING)}
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    on_end(lambda *_: stop.set())
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
