"""What the coordinator is told of an error at the site: its class and a short code, no text."""

from __future__ import annotations

import logging

from pydantic import ValidationError

from common.errors import LesionFedError
from common.wire.messages import SiteFailure

log = logging.getLogger(__name__)


def failure_of(error: Exception) -> SiteFailure:
    """The failure to send; the text, which may hold paths and subjects, goes to the site's log."""
    if isinstance(error, LesionFedError):
        log.error("%s: %s", type(error).__name__, error)
        try:
            return SiteFailure(error=type(error).__name__, code=error.code)
        except ValidationError:  # raised on, its text would leave with Flower
            log.error("%r is not a code that may leave the site; please report it", error.code)
            return SiteFailure(error="InternalError", code="internal")
    if isinstance(error, OSError):
        log.error("%s: %s. Check free space and permissions.", error.filename, error.strerror)
        return SiteFailure(error="OSError", code="disk")
    log.error("an error of the program, not of the data; please report it", exc_info=error)
    return SiteFailure(error="InternalError", code="internal")
