"""Faults of a task that is done again and again: logged once, and tried again."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import LesionFedError

log = logging.getLogger(__name__)

FAULTS = (LesionFedError, OSError, sqlite3.Error)
"""Of the machine, of Flower's programs or of a file; any other is our error and ends the server."""


class FaultLog:
    """Keeps a server running through faults that may be over at its next try.

    A fault is logged when it comes, and not again before the same task succeeded or failed in
    another way: a disk is full for hours, and a task is tried twice a second.
    """

    def __init__(self) -> None:
        self._logged: dict[str, object] = {}

    @contextmanager
    def logged(self, what: str) -> Iterator[None]:
        """Catches a fault of what is done inside, and logs it where it is new.

        what   is done, such as "registering the members"
        """
        try:
            yield
        except FAULTS as error:
            # not by its text: that may name a file of another name each time
            kind = (type(error), getattr(error, "errno", None))
            if self._logged.get(what) != kind:
                self._logged[what] = kind
                log.warning("%s failed and is tried again: %s", what, _text(error))
        else:
            if self._logged.pop(what, None) is not None:
                log.info("%s: well again", what)


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, LesionFedError) else f"{type(error).__name__}: {error}"
