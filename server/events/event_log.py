"""events.jsonl, a line of JSON an event: the one source for progress, report and exports."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict

from pydantic import ValidationError

from common.errors import RunFolderError, printable, printable_lines
from common.files import naming
from server.events import schema, site_limited, site_probed, threshold_events
from server.events.run_event import RunEvent, UnknownEvent

log = logging.getLogger(__name__)

MAX_DIGITS = 19
"""No count of bytes or voxels has so many."""

_BY_KIND: dict[str, type[RunEvent]] = {
    kind.model_fields["event"].default: kind
    for module in (schema, site_limited, site_probed, threshold_events)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, RunEvent)
}


class Place(TypedDict):
    """Where in a run something happened: a phase by name, and its round from 1."""

    phase: str
    round: int


class EventLog:
    """Appends events to a file and hands each to a listener.

    path       events.jsonl; a last line that a cut left half written is taken off
    listener   called with each event after it is on disk, such as a progress display; one that
               fails ends no run
    """

    def __init__(self, path: Path, listener: Callable[[RunEvent], None] | None = None) -> None:
        self._path = path
        self._listener = listener
        if path.exists():
            _without_torn_end(path)

    def record(self, event: RunEvent) -> None:
        """Writes one event; ValueError where a number in it is not finite.

        OSError where the disk does not take it: the file then ends with the event before.
        """
        line = (json.dumps(event.as_dict(), allow_nan=False) + "\n").encode()
        with naming(self._path), self._path.open("ab", buffering=0) as file:
            end = file.tell()
            if file.write(line) < len(line):  # a full disk takes what still fits, without an error
                file.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._tell(event)

    def _tell(self, event: RunEvent) -> None:
        """Hands the event to the listener; one that fails is told no more, and the run goes on."""
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception:
            self._listener = None
            log.warning("progress is no longer shown; the run goes on", exc_info=True)


def parse_event(line: str | bytes) -> RunEvent:
    """The event on one line of events.jsonl; NaN, infinity and numbers too large are undefined.

    Its texts are printable: the file may come from elsewhere, and quotes what sites have sent.

    ValidationError where a field of a known event is missing or wrong; another ValueError where
    the line is no JSON object at all, or has text that is no Unicode.
    """
    try:
        table = json.loads(
            line, parse_constant=lambda _: None, parse_float=_finite, parse_int=_whole
        )
        if not isinstance(table, dict):
            raise ValueError("want a JSON object")
        json.dumps(table, ensure_ascii=False).encode()  # half a surrogate pair: UnicodeEncodeError
        table = _escaped(table)
    except RecursionError:
        raise ValueError("want a JSON object, found one nested too deeply") from None
    kind = _BY_KIND.get(str(table.get("event")), UnknownEvent)
    return kind.model_validate({"time": None, **table})


def _escaped(value: Any) -> Any:
    """The value with every text in it printable; the reason why a run ended keeps its lines."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    if isinstance(value, dict):
        return {
            printable(key): printable_lines(inner)
            if key == "reason" and isinstance(inner, str)
            else _escaped(inner)
            for key, inner in value.items()
        }
    return value


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) < MAX_DIGITS else None


def read_events(
    path: Path, *, on_gap: Callable[[int], None] = lambda _: None
) -> Iterator[RunEvent]:
    """The events in the order they were written; none where there is no file.

    on_gap   called with the number of each line that is no JSON: it is passed over

    A last line without its end is passed over as well: the run may be writing it. RunFolderError
    where the file cannot be read, or a line has not the fields of its event.
    """
    try:
        with path.open("rb") as file:
            for i, line in enumerate(file, start=1):
                if not line.endswith(b"\n") or not line.strip():
                    continue
                try:
                    event = parse_event(line)
                except ValidationError as error:
                    raise RunFolderError(f"{path}, line {i}: {_fault(line, error)}") from None
                except ValueError:
                    on_gap(i)
                else:
                    yield event
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot be read: {error.strerror}. Check the permissions."
        ) from None


def _fault(line: bytes, error: ValidationError) -> str:
    fault = error.errors()[0]
    key = ".".join(
        str(part) for part in (json.loads(line, parse_int=str).get("event", "event"), *fault["loc"])
    )
    return f"{key}: {fault['msg']}. Restore the file from a backup, or take the line out."


def _without_torn_end(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
