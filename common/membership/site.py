"""What a site may be called, and what it may do in a federation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""Of a site, a federation or a run: it is part of file names."""
SiteName = Annotated[str, Field(pattern=NAME_PATTERN)]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9.+!_-]{1,100}$")]
"""Of a package, by PEP 440; it is shown to who is to compare it."""
Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:_-]{1,255}$")]
"""A host name, or an IP address without brackets."""


def _a_moment(text: str) -> str:
    datetime.fromisoformat(text)  # the 30th of February is none
    return text


Moment = Annotated[
    str,
    Field(pattern=r"^[0-9-]{10}T[0-9:]{8}(\.[0-9]{1,6})?(Z|\+00:00)$"),
    AfterValidator(_a_moment),
]
"""UTC, ISO 8601."""
Role = Literal["train", "statistics", "evaluate"]
"""train: learns and sends updates; statistics: adds to the template only, such as healthy controls;
evaluate: scores the finished model on its own cases and sends the scores, never trains."""
