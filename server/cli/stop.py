"""`lesionfed stop`: a run of a federation ends before its time."""

from __future__ import annotations

import typer

from server.cli.options import Federation, RunName


def stop(
    run: RunName,
    federation: Federation,
) -> None:
    """Ends a run; what its last checkpoint holds is kept, and `resume` continues from there."""
    from server.federation.federation_folder import FederationFolder
    from server.flower.run_control import existing_run
    from server.flower.run_control import stop as stop_run

    folder = FederationFolder(federation)
    status = stop_run(
        folder, existing_run(folder, run), say=lambda text: typer.echo(text, err=True)
    )
    print(f"run {run}: {status.status}{f', {status.reason}' if status.reason else ''}")
    if status.to_do is not None:
        print(status.to_do)
