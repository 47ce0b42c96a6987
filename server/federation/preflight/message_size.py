"""Do the recipe's updates get through the proxy?"""

from __future__ import annotations

from common.errors import ConfigError
from common.preflight.check import Check, passed, problem
from common.recipe.recipe import Recipe
from server.federation.message_size import require_fits

NAME = "message size"


def message_size(recipe: Recipe, *, largest_message_mb: int) -> Check:
    """Passed where an update, and a fifth more, is at most what nginx lets through."""
    try:
        require_fits(recipe, largest_message_mb=largest_message_mb)
    except ConfigError as error:
        return problem(NAME, str(error), "Raise largest_message_mb, start serve and nginx anew.")
    return passed(NAME, f"the proxy lets {largest_message_mb} MB through")
