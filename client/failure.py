"""What of an error leaves the site: its class and a short code, no text."""

from __future__ import annotations

import logging
import traceback

from pydantic import ValidationError

from common.errors import LesionFedError, system_code, system_error_text
from common.wire.messages import SiteFailure

log = logging.getLogger(__name__)

LONGEST_TEXT = 2000
"""Characters of one text in the log: an error may quote what came from the coordinator."""


def failure_of(error: Exception) -> SiteFailure:
    """The failure to send; the text, which may hold paths and subjects, goes to the site's log."""
    if isinstance(error, LesionFedError):
        log.error("%s: %s", type(error).__name__, _cut(str(error)))
        try:
            return SiteFailure(error=type(error).__name__, code=error.code)
        except ValidationError:  # not caught here, its text would leave with Flower
            log.error("%.200r is not a code that may leave the site; please report it", error.code)
            return SiteFailure(error="InternalError", code="internal")
    if isinstance(error, OSError):
        log.error("%s", _cut(system_error_text(error)))
        code = system_code(error)  # one of a few words of ours
        return SiteFailure(error="OSError", code=code)
    trace = "".join(_cut(part) for part in traceback.format_exception(error))
    log.error("an error of the program, not of the data; please report it\n%s", trace.rstrip())
    return SiteFailure(error="InternalError", code="internal")


def _cut(text: str) -> str:
    """`text`, or its beginning where it is longer than LONGEST_TEXT, with what was left out."""
    n_left_out = len(text) - LONGEST_TEXT
    return text if n_left_out <= 0 else f"{text[:LONGEST_TEXT]} [... {n_left_out} characters]\n"
