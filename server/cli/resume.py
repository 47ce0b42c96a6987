"""`lesionfed resume`: a run of a federation continues from its last checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from server.cli.follow_run import follow_run


def resume(
    run: Annotated[str, typer.Argument(help="The run's name.")],
    federation: Annotated[
        Path, typer.Option(help="The federation's folder.", file_okay=False, exists=True)
    ],
    detach: Annotated[
        bool, typer.Option("--detach", help="Starts the run and does not follow it.")
    ] = False,
    quiet: Annotated[bool, typer.Option(help="No progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Resumes a run that was stopped, failed or interrupted, with the settings it began with."""
    from server.federation.federation_folder import FederationFolder
    from server.flower.run_control import existing_run
    from server.flower.run_control import resume as resume_run
    from server.flower.submission import require_served

    folder = FederationFolder(federation)
    existing = existing_run(folder, run)
    require_served(folder)
    resumed = resume_run(folder, existing)
    follow_run(
        folder,
        existing,
        flower_run_id=resumed.flower_run_id,
        skip=resumed.skip,
        detach=detach,
        quiet=quiet,
        as_json=as_json,
    )
