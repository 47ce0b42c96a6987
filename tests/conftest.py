"""Settings for every test."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings

from common.cli.escaped_log import FLOWER, EscapedRecords

# the same examples at every run, and no limit on time: the machines that test are shared
settings.register_profile("lesionfed", deadline=None, derandomize=True)
settings.load_profile("lesionfed")


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process escapes the log for as long as the test."""
    yield
    for place in (logging.getLogger(FLOWER), *logging.getLogger().handlers):
        for escaped in [one for one in place.filters if isinstance(one, EscapedRecords)]:
            place.removeFilter(escaped)
