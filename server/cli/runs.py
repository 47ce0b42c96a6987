"""`lesionfed runs`: every run of a federation and how it stands."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.errors import LesionFedError
from server.cli.options import Federation

if TYPE_CHECKING:
    from server.run.run_folder import RunFolder
    from server.status.run_status import RunStatus


def runs(
    federation: Federation,
    as_json: Annotated[
        bool, typer.Option("--json", help="A list, a run each, times in ISO 8601.")
    ] = False,
) -> None:
    """Lists all runs: recipe, phase and round, how each stands, when it began.

    A run that cannot be read is listed as unreadable, with the reason.
    """
    from rich.console import Console
    from rich.table import Table

    from server.federation.federation_folder import FederationFolder
    from server.flower.run_control import all_runs
    from server.status.run_status import json_value

    now = datetime.now(UTC)
    found = {run.path.name: _look(run, now) for run in all_runs(FederationFolder(federation))}
    if as_json:
        rows = [{"name": name, **_facts(look)} for name, look in found.items()]
        print(json.dumps(rows, default=json_value))
        return
    if not found:
        print(f"no runs yet in {federation}")
        return
    table = Table("run", "recipe", "at", "status", "started")
    for name, look in found.items():
        table.add_row(name, *_row(look))
    Console().print(table)


def _look(run: RunFolder, now: datetime) -> tuple[str, RunStatus] | str:
    """The recipe's name and how the run stands; of a run that cannot be read, the reason."""
    from server.status.run_status import run_status

    try:
        return run.recipe().name, run_status(run, now=now)
    except (LesionFedError, OSError) as error:
        return str(error)


def _facts(look: tuple[str, RunStatus] | str) -> dict[str, Any]:
    if isinstance(look, str):
        return {"recipe": None, "status": "unreadable", "reason": look}
    recipe, status = look
    return {"recipe": recipe, **dataclasses.asdict(status)}


def _row(look: tuple[str, RunStatus] | str) -> tuple[str, ...]:
    if isinstance(look, str):
        return "-", "-", _plain(f"unreadable: {look}"), "-"
    recipe, status = look
    at = "-" if status.phase is None else f"{status.phase} {status.round}/{status.n_rounds}"
    condition: str = status.status
    if status.status == "failed" and status.reason is not None:
        condition = f"failed: {status.reason}"
    elif status.status == "interrupted":
        condition = f"interrupted: {status.to_do}"
    started = "-" if status.started is None else f"{status.started.astimezone():%Y-%m-%d %H:%M}"
    return recipe, at, _plain(condition), started


def _plain(text: str) -> str:
    """The text with nothing in it that the terminal takes for markup."""
    from rich.markup import escape

    return escape(text)
