"""What `--resume` takes beside it: a thing that goes on has its settings already."""

from __future__ import annotations

from collections.abc import Set

import click
from click.core import ParameterSource

from common.errors import ConfigError

HEEDED = frozenset({"resume", "images", "quiet", "as_json"})
"""Options that a resumed run or study heeds: how it is shown, not what it is."""


def refuse_settings_beside_resume(heeded: Set[str] = HEEDED) -> None:
    """Nothing, or ConfigError where an option was given that what is resumed would not heed."""
    context = click.get_current_context()
    given = {
        name
        for name in context.params
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    if unheeded := sorted(given - heeded):
        raise ConfigError(
            f"--resume goes on with the settings it began with; leave out {', '.join(unheeded)}"
        )
