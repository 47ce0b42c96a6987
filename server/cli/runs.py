"""`lesionfed runs`: every run of a federation and how it stands."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from server.run_folder import RunFolder
    from server.status.run_status import RunStatus


def runs(
    federation: Annotated[
        Path, typer.Option(help="The federation's folder.", file_okay=False, exists=True)
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="A list, a run each, times in ISO 8601.")
    ] = False,
) -> None:
    """Lists all runs: recipe, phase and round, how each stands, when it began."""
    from rich.console import Console
    from rich.table import Table

    from server.federation_folder import FederationFolder
    from server.serving.run_control import all_runs
    from server.status.run_status import run_status

    now = datetime.now(UTC)
    found = [(run, run_status(run, now=now)) for run in all_runs(FederationFolder(federation))]
    if as_json:
        rows = [
            {"name": run.path.name, "recipe": run.recipe().name, **dataclasses.asdict(status)}
            for run, status in found
        ]
        print(json.dumps(rows, default=datetime.isoformat))
        return
    if not found:
        print(f"no runs yet in {federation}")
        return
    table = Table("run", "recipe", "at", "status", "started")
    for run, status in found:
        table.add_row(*_row(run, status))
    Console().print(table)


def _row(run: RunFolder, status: RunStatus) -> tuple[str, ...]:
    at = "-" if status.phase is None else f"{status.phase} {status.round}/{status.n_rounds}"
    told: str = status.status
    if status.status == "failed" and status.reason is not None:
        told = f"failed: {status.reason}"
    elif status.status == "interrupted":
        told = f"interrupted: {status.to_do}"
    started = "-" if status.started is None else f"{status.started.astimezone():%Y-%m-%d %H:%M}"
    return run.path.name, run.recipe().name, at, _plain(told), started


def _plain(text: str) -> str:
    """The text with nothing in it that the terminal takes for markup."""
    from rich.markup import escape

    return escape(text)
