"""`lesionfed resume`: a run of a federation continues from its last checkpoint."""

from __future__ import annotations

from server.cli.follow_run import follow_run
from server.cli.options import Detach, Federation, Quiet, ResultAsJson, RunName


def resume(
    run: RunName,
    federation: Federation,
    detach: Detach = False,
    quiet: Quiet = False,
    as_json: ResultAsJson = False,
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
