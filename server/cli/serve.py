"""`lesionfed serve`: the coordinator's side, kept alive."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Annotated

import typer

from common.cli.signals import on_end
from server.cli.options import Federation


def serve(
    federation: Federation,
    with_proxy: Annotated[
        bool,
        typer.Option(
            "--with-proxy",
            help="Also run nginx with the federation's configuration. Without it another proxy "
            "has to stand in front: sites reach the server through one only.",
        ),
    ] = False,
) -> None:
    """Runs SuperLink and SuperExec until it is ended (Ctrl-C, SIGTERM or SIGHUP).

    A program that dies is started again, after 2 s at first and at most 60 s. Who enrols while this
    runs may come at once.
    """
    from server.federation.federation_folder import FederationFolder
    from server.flower.supervisor import serve as serve_federation

    logging.getLogger("server").setLevel(logging.INFO)
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    on_end(lambda *_: stop.set())
    folder = FederationFolder(federation)
    serve_federation(folder, with_proxy=with_proxy, say=_say, stop=stop)


def _say(text: str) -> None:
    print(text, flush=True)
