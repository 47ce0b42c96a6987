"""notices.jsonl in the run's folder: each notice and whether it could be sent."""

from __future__ import annotations

import json
from pathlib import Path

from server.notify.notice import Notice

FILE = "notices.jsonl"


def record_notice(run: Path, notice: Notice, *, channel: str, error: str | None) -> None:
    """Adds one line; `error` is None where the notice was taken."""
    facts = {"time": notice.time, "what": notice.what, "site": notice.site}
    line = json.dumps({**facts, "channel": channel, "error": error})
    with (run / FILE).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def n_undelivered(run: Path) -> int:
    """How many notices could not be sent; a half-written last line counts as none."""
    try:
        lines = (run / FILE).read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return 0
    return sum(_has_error(line) for line in lines)


def _has_error(line: str) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and entry.get("error") is not None
