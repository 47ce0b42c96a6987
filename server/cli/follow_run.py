"""A run that another process executes, followed in the terminal to its end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from server.cli.run_result import run_result, show_result

if TYPE_CHECKING:
    from server.federation.federation_folder import FederationFolder
    from server.run.run_folder import RunFolder


def follow_run(
    folder: FederationFolder,
    run: RunFolder,
    *,
    flower_run_id: str,
    skip: int,
    detach: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Shows progress and verdict; exit code 1 where the run does not complete.

    flower_run_id   of the submission that is followed
    skip            bytes of events.jsonl that are of earlier submissions
    detach          says only where to look, and returns at once
    """
    from server.cli.run_progress import progress_of
    from server.flower.watch import watch

    if detach:
        print(json.dumps({"run": str(run.path)}) if as_json else _where_to_look(folder, run))
        return
    try:
        with progress_of(run, quiet=quiet or as_json) as progress:
            end = watch(folder, run, flower_run_id=flower_run_id, skip=skip, listener=progress)
    except KeyboardInterrupt:
        typer.echo(
            f"the run continues and is no longer followed. {_where_to_look(folder, run)}", err=True
        )
        return
    if as_json:
        print(json.dumps(run_result(run)))
    else:
        show_result(run)
    if end.status != "completed":
        if not as_json:
            typer.echo(f"{end.status}: {end.reason}", err=True)
        raise typer.Exit(1)


def _where_to_look(folder: FederationFolder, run: RunFolder) -> str:
    name = f"{run.path.name} --federation {folder.path}"
    return f"See it: `lesionfed status {name}`. End it: `lesionfed stop {name}`."
