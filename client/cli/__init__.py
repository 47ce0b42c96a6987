"""`lesionfed-site`: the hospital's command line."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from client.cli.check import check
from client.cli.init import init
from client.cli.join import join
from client.cli.leave import leave
from client.cli.pause import pause, unpause
from client.cli.preflight import preflight
from client.cli.prepare import prepare
from client.cli.run import run
from client.cli.transplant import transplant
from common.cli.run import run as run_command_line


def build_parser() -> typer.Typer:
    """All commands of `lesionfed-site`."""
    app = typer.Typer(
        help="Take part in a federation: nothing but the updates you allow leaves this machine.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_hospital)
    app.command()(check)
    app.command()(prepare)
    app.command()(transplant)
    app.command()(preflight)
    app.command()(init)
    app.command()(join)
    app.command()(run)
    app.command()(pause)
    app.command()(unpause)
    app.command()(leave)
    return app


def _hospital() -> None:
    """Take part in a federation: nothing but the updates you allow leaves this machine."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, 1 (failed), 2 (usage)."""
    return run_command_line(build_parser(), argv, name="lesionfed-site")
