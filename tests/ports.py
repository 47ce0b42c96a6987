"""Ports for programs that are told their port before they listen."""

from __future__ import annotations

import secrets
import socket

FIRST, N_PORTS = 20_000, 12_000
"""Below 32768, where Linux begins to hand ports out by itself: between the choice and the use of
one of these, no connection of anybody else is given it."""


def free_port() -> int:
    """A TCP port of loopback at which nothing listens."""
    while True:
        port = FIRST + secrets.randbelow(N_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def listens(port: int) -> bool:
    """Whether somebody takes connections at that port of loopback."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
