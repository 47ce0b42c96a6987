"""What a site may be called, and what it may do in a federation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""Of a site, a federation or a run: it is part of file names."""
SiteName = Annotated[str, Field(pattern=NAME_PATTERN)]
Role = Literal["train", "statistics", "evaluate"]
"""train: learns and sends updates; statistics: adds to the template only, such as healthy controls;
evaluate: scores the finished model on its own cases and sends the scores, never trains."""
