"""What tests of whole runs share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.no_charts import without_charts


@pytest.fixture
def no_charts() -> Iterator[None]:
    """The test's own runs write reports of one line; those of fixtures that it uses do not."""
    with without_charts():
        yield
