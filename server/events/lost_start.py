"""The beginning of a run whose first line is lost, from what else the folder says of it."""

from __future__ import annotations

from datetime import datetime

from common.errors import LesionFedError
from server.events.schema import RunStarted, SiteRole
from server.run.run_folder import RunFolder

UNKNOWN = "unknown"


def lost_start(folder: RunFolder, *, first_time: datetime) -> RunStarted | None:
    """What `run-started` would say, by recipe and consortium; None where they cannot be read.

    first_time   of the first event that is left
    """
    try:
        recipe, consortium = folder.recipe(), folder.consortium()
    except LesionFedError:
        return None
    sites = [SiteRole(name=site.name, role=site.role) for site in consortium.sites]
    sites += [SiteRole(name=site.name, role="validation") for site in consortium.validation]
    sites += [SiteRole(name=site.name, role="unseen") for site in consortium.unseen]
    return RunStarted(
        time=first_time,
        run=folder.path.resolve().name,
        engine="inline" if consortium.federation is None else "deployment",
        recipe_name=recipe.name,
        recipe_sha256=recipe.sha256(),
        code_digest=UNKNOWN,
        sites=tuple(sites),
        labels_are_local=consortium.labels_are_local,
    )
