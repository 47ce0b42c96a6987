"""`lesionfed status`: how a run, or the whole federation, stands now."""

from __future__ import annotations

import dataclasses
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import ConfigError

if TYPE_CHECKING:
    from server.run.run_folder import RunFolder
    from server.status.federation_status import FederationStatus
    from server.status.run_status import RunStatus

WATCH_S = 2.0
ENDED = ("completed", "stopped", "failed", "interrupted")


def status(
    run: Annotated[
        str | None, typer.Argument(help="The run's name; without it the whole federation.")
    ] = None,
    federation: Annotated[
        Path | None, typer.Option(help="The federation's folder.", file_okay=False)
    ] = None,
    run_path: Annotated[
        Path | None,
        typer.Option("--run", help="A run's folder, in place of name and federation."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="As JSON: times in ISO 8601, durations in seconds.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Refreshes every 2 s, until the run ends.")
    ] = False,
) -> None:
    """Shows which sites, which round, what the run waits for, and what to do."""
    if watch and as_json:
        raise ConfigError("--watch and --json: want one of the two")
    folder = _run_folder(run, federation, run_path)
    if watch:
        _watch(folder, federation)
        return
    now = datetime.now(UTC)
    found = _look(folder, federation, now)
    if as_json:
        from server.status.run_status import json_value

        print(json.dumps(dataclasses.asdict(found), default=json_value))
    else:
        from rich.console import Console

        from server.cli.status_tables import status_tables

        Console().print(status_tables(found, now=now))


def _run_folder(
    run: str | None, federation: Path | None, run_path: Path | None
) -> RunFolder | None:
    """The run that is asked for; None where it is the federation."""
    from server.run.run_folder import RunFolder

    if run_path is not None:
        if run is not None or federation is not None:
            raise ConfigError("--run PATH is enough: leave out --federation and the run's name")
        return RunFolder(run_path)
    if federation is None:
        raise ConfigError("want --federation FOLDER, or --run PATH for one run folder")
    if run is None:
        return None
    from server.federation.federation_folder import FederationFolder

    return FederationFolder(federation).run(run)


def _look(
    folder: RunFolder | None, federation: Path | None, now: datetime
) -> RunStatus | FederationStatus:
    if folder is not None:
        from server.status.run_status import run_status

        return run_status(folder, now=now)
    from server.federation.federation_folder import FederationFolder
    from server.status.federation_status import federation_status

    assert federation is not None, "one of the two is given"
    return federation_status(FederationFolder(federation), now=now)


def _watch(folder: RunFolder | None, federation: Path | None) -> None:
    from rich.live import Live

    from server.cli.status_tables import status_tables

    with Live(auto_refresh=False) as live:
        while True:
            now = datetime.now(UTC)
            found = _look(folder, federation, now)
            live.update(status_tables(found, now=now), refresh=True)
            if getattr(found, "status", None) in ENDED:
                return
            time.sleep(WATCH_S)
