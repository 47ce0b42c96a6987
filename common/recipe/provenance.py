"""Where each choice of a recipe comes from, read from the comments in its file.

    learning_rate = 1e-4   # [stated]
    # [chosen] the paper is silent
    norm = "instance"

`[stated]` is in the paper, `[chosen]` is ours. A mark stands behind the value, else in the comment
lines right above it. A mark on a table in braces is that of every value in it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from common.errors import ConfigError

Kind = Literal["stated", "chosen", "stated and chosen"]

_MARK = re.compile(r"\[(stated|chosen)\]")
_TABLE = re.compile(r"\s*\[")
_STRINGS = re.compile(r'"(?:\\.|[^"\\])*"|' + r"'[^']*'")


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose choice a value is, and what the file says of it.

    words   the comment, its first mark left out; empty where it says no more
    """

    kind: Kind
    words: str


def marks(toml_text: str) -> dict[str, Mark]:
    """Dotted key -> its mark, for every marked value of a recipe's file.

    Keys of `[scale.small]` and `[variants.NAME]` begin with the table's name. ConfigError where the
    text is no TOML.
    """
    found: dict[str, Mark] = {}
    for number, statement in enumerate(_statements(toml_text)):
        above = statement.above if number else ""  # before the first value: of the whole file
        mark = _mark(statement.beside) or _mark(above)
        if mark is not None:
            for key in statement.keys:
                found[key] = mark
    return found


def leaves(table: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Dotted key -> value, for every value that is no table; an empty table is a value."""
    flat: dict[str, object] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            flat |= leaves(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@dataclass(frozen=True, slots=True)
class _Statement:
    """One `key = value`. above, beside: the comments before it and in its own lines."""

    keys: tuple[str, ...]
    above: str
    beside: str


def _statements(text: str) -> Iterator[_Statement]:
    section, above, begun, beside = "", "", "", ""
    for line in text.splitlines():
        code, comment = _parted(line)
        if not begun and not code.strip():
            above = f"{above} {comment}".strip() if comment else ""
        elif not begun and _TABLE.match(code):
            section, above = code.strip(), ""
        else:
            begun, beside = f"{begun}{code}\n", f"{beside} {comment}".strip()
            table = _read(begun)
            if table is not None:
                place = _place(section)
                yield _Statement(tuple(leaves(table, place)), above, beside)
                begun, beside, above = "", "", ""
    if begun:
        raise ConfigError(f"want TOML, but this value has no end: {begun.strip()[:60]!r}")


def _place(section: str) -> str:
    """What the keys below a table's header begin with; nothing above the first header."""
    place, inner = "", tomllib.loads(section)
    while inner:
        [(name, inner)] = inner.items()
        place += f"{name}."
    return place


def _read(statement: str) -> dict[str, object] | None:
    """The statement as a table; None where it does not end here."""
    try:
        return tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        return None


def _parted(line: str) -> tuple[str, str]:
    """The line before its comment, and the comment's words; a # in a text begins none."""
    masked = _STRINGS.sub(lambda found: "_" * len(found[0]), line)
    at = masked.find("#")
    return (line, "") if at < 0 else (line[:at], line[at + 1 :].strip())


def _mark(comment: str) -> Mark | None:
    kinds = list(dict.fromkeys(_MARK.findall(comment)))
    if not kinds:
        return None
    kind: Kind = "stated" if kinds == ["stated"] else "chosen"
    if len(kinds) == 2:
        kind = "stated and chosen"
    return Mark(kind, _words(comment, several=len(kinds) == 2))


def _words(comment: str, *, several: bool) -> str:
    """The comment; its mark left out where it has but one kind, for the kind is told apart."""
    words = comment if several else _MARK.sub("", comment)
    return " ".join(words.split()).lstrip(";:,. ")
