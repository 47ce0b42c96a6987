"""JSON objects that came from the other side."""

from __future__ import annotations

import json

from common.errors import WireError
from common.settings import Table


def read_json(content: bytes, *, where: str, largest_bytes: int) -> Table:
    """The object that `content` says; WireError where it is none, or longer than allowed."""
    if len(content) > largest_bytes:
        raise WireError(
            f"{where}: want at most {largest_bytes} bytes. It is not what it should be."
        )
    try:
        table = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise WireError(f"{where}: not readable as JSON. Ask for it again.") from None
    if not isinstance(table, dict):
        raise WireError(f"{where}: want a JSON object, got {type(table).__name__}")
    return table
