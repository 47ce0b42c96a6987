"""Events for tests that need a run, not its figures."""

from __future__ import annotations

from common.code_digest import code_digest
from common.recipe.recipe import load_recipe
from server.events.schema import RunStarted, SiteRole


def run_started(run: str, *, engine: str = "deployment") -> RunStarted:
    """The first event of a run of the default recipe and this code, with one training site."""
    return RunStarted(
        run=run,
        engine=engine,
        recipe_name="default",
        recipe_sha256=load_recipe("default").sha256(),
        code_digest=code_digest(),
        sites=(SiteRole(name="lyon", role="train"),),
    )
