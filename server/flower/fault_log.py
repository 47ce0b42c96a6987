"""What goes wrong in a look that is taken again and again: logged once, and tried again."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import LesionFedError

log = logging.getLogger(__name__)

FAULTS = (LesionFedError, OSError, sqlite3.Error)
"""Of the machine, of Flower's programs or of a file; any other is an error of ours, and ends us."""


class FaultLog:
    """Keeps a server going over what may be well again at its next look.

    A fault is logged when it comes, and not again before the same look went well or failed in
    another way: a disk is full for hours, and a look is taken twice a second.
    """

    def __init__(self) -> None:
        self._told: dict[str, object] = {}

    @contextmanager
    def noted(self, what: str) -> Iterator[None]:
        """Swallows a fault of what is done inside, and logs it where it is new.

        what   is done, such as "the look at the members"
        """
        try:
            yield
        except FAULTS as error:
            # not by its text: that may name a file of another name each time
            kind = (type(error), getattr(error, "errno", None))
            if self._told.get(what) != kind:
                self._told[what] = kind
                log.warning("%s failed and is tried again: %s", what, _in_words(error))
        else:
            if self._told.pop(what, None) is not None:
                log.info("%s: well again", what)


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, LesionFedError) else f"{type(error).__name__}: {error}"
