"""Files of a site that no other user of the machine may read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

OWNER_ALONE = 0o077
"""The umask: nothing for the group, nothing for others."""


@contextmanager
def for_the_owner_alone() -> Iterator[None]:
    """What is written meanwhile, here and by processes begun meanwhile, is for its owner alone."""
    before = os.umask(OWNER_ALONE)
    try:
        yield
    finally:
        os.umask(before)
