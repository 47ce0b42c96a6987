"""A command line from its arguments to its exit code."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Sequence

import click
import typer

from common.cli.escaped_log import escape_log
from common.cli.lasting_output import lost_output, outlast_readers
from common.errors import ConfigError, LesionFedError, system_error_text

FAILED = 1
USAGE = 2


def run(app: typer.Typer, argv: Sequence[str] | None, *, name: str) -> int:
    """Exit code: 0, 1 where the work failed, 2 where it was asked for wrongly.

    argv   the arguments without the program's name; None for those of this process
    An error of ours is shown as its text alone; any other is a fault of the program, shown whole.
    """
    outlast_readers()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name in latin-1 stops no command
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr
    )
    escape_log()
    try:
        code = app(args=argv, prog_name=name, standalone_mode=False)
    except click.exceptions.Abort:
        typer.echo("stopped", err=True)
        return FAILED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ConfigError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        return USAGE
    except LesionFedError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        return FAILED
    except OSError as error:
        typer.echo(system_error_text(error), err=True)
        return FAILED
    if (lost := lost_output()) is not None:
        typer.echo(f"what was printed is lost: {system_error_text(lost)}", err=True)
        return FAILED
    return code if isinstance(code, int) else 0
