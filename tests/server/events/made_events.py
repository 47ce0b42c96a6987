"""Events for tests that need a run, not its figures."""

from __future__ import annotations

from server.events.schema import RunStarted, SiteRole


def run_started(run: str, *, engine: str = "deployment") -> RunStarted:
    """The first event of a run with one training site."""
    return RunStarted(
        run=run,
        engine=engine,
        recipe_name="default",
        recipe_sha256="0",
        code_digest="0",
        sites=(SiteRole(name="lyon", role="train"),),
    )
