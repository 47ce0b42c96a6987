"""Whether a recipe's updates get through the federation's proxy."""

from __future__ import annotations

from common.errors import ConfigError
from common.preflight.bandwidth import update_size_bytes
from common.preflight.check import CheckResult, passed, problem
from common.recipe.recipe import Recipe

MESSAGE_SIZE = "message size"
HEADROOM = 1.2
"""A request holds an update and what Flower and the site head add to it."""


def require_fits(recipe: Recipe, *, largest_message_mb: int) -> None:
    """Nothing, or ConfigError where the updates are larger than what the proxy lets through.

    largest_message_mb   the federation's setting, in MB of 1024^2 bytes

    Above it a site's upload gets 413 from nginx, Flower drops the answer, and the round would wait
    for its deadline without a word.
    """
    size_bytes = update_size_bytes(recipe)
    if HEADROOM * size_bytes > largest_message_mb << 20:
        raise ConfigError(
            f"recipe {recipe.name!r} sends updates of {size_bytes / (1 << 20):.1f} MB, and the "
            f"proxy lets largest_message_mb = {largest_message_mb} through; want a fifth more than "
            "an update at least. Raise it in federation.toml, start `lesionfed serve` again, "
            "reload nginx, and start a new run."
        )


def message_size(recipe: Recipe, *, largest_message_mb: int) -> CheckResult:
    """The same as a line of the coordinator's preflight."""
    try:
        require_fits(recipe, largest_message_mb=largest_message_mb)
    except ConfigError as error:
        fix = "Raise largest_message_mb, start serve and nginx again."
        return problem(MESSAGE_SIZE, str(error), fix)
    return passed(MESSAGE_SIZE, f"the proxy lets {largest_message_mb} MB through")
