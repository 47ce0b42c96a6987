"""Whether a run may be resumed: its recipe and our code are those that it started with."""

from __future__ import annotations

from common.code_digest import code_digest
from common.errors import RunFolderError
from server.events.event_log import read_events
from server.events.schema import RunStarted
from server.run.run_folder import RunFolder


def require_same_run(folder: RunFolder) -> bool:
    """Whether the run has started before; nothing is written.

    RunFolderError where the recipe or the code is not that of the run's start.
    """
    events = list(read_events(folder.events_file))
    started = next((event for event in events if isinstance(event, RunStarted)), None)
    if started is None:  # where its line alone is lost, there is nothing to compare with
        return bool(events)
    for then, now, what in (
        (started.recipe_sha256, folder.recipe().sha256(), "recipe.toml"),
        (started.code_digest, code_digest(), "LesionFed's own code"),
    ):
        if then != now:
            raise RunFolderError(
                f"{folder.path}: {what} has changed since this run started, so continuing would "
                "mix two experiments. Put it back as it was, or start a new run in another folder."
            )
    return True
