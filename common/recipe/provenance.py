"""Where each choice of a recipe comes from, read from the comments in its file.

    learning_rate = 1e-4   # [stated]
    # [chosen] the paper is silent
    norm = "instance"

`[stated]` is in the paper, `[chosen]` is ours. The mark stands behind the value, or in the comment
lines right above it. A mark on a table in braces holds for every value in it.
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
class Provenance:
    """Whose choice a value is, and what the file says of it.

    comment   without its mark, where it has one kind; empty where it says no more
    """

    kind: Kind
    comment: str


def read_provenance(toml_text: str) -> dict[str, Provenance]:
    """Dotted key -> where its value comes from, for every marked value of a recipe's file.

    Keys of `[scale.small]` and `[variants.NAME]` begin with the table's name. ConfigError where the
    text is not TOML.
    """
    found: dict[str, Provenance] = {}
    for number, statement in enumerate(_statements(toml_text)):
        above = statement.above if number else ""  # before the first value: about the whole file
        provenance = _provenance(statement.beside) or _provenance(above)
        if provenance is not None:
            found |= dict.fromkeys(statement.keys, provenance)
    return found


def dotted_values(table: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Dotted key -> value, for every value that is not a table; an empty table is a value."""
    flat: dict[str, object] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            flat |= dotted_values(value, f"{prefix}{key}.")
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
        code, comment = _code_and_comment(line)
        if not begun and not code.strip():
            above = f"{above} {comment}".strip() if comment else ""
        elif not begun and _TABLE.match(code):
            section, above = code.strip(), ""
        else:
            begun, beside = f"{begun}{code}\n", f"{beside} {comment}".strip()
            table = _table_or_none(begun)
            if table is not None:
                keys = tuple(dotted_values(table, _key_prefix(section)))
                yield _Statement(keys, above, beside)
                begun, beside, above = "", "", ""
    if begun:
        raise ConfigError(f"want TOML, but this value has no end: {begun.strip()[:60]!r}")


def _key_prefix(section: str) -> str:
    """What the keys below a table's header begin with; empty above the first header."""
    prefix, inner = "", tomllib.loads(section)
    while inner:
        [(name, inner)] = inner.items()
        prefix += f"{name}."
    return prefix


def _table_or_none(statement: str) -> dict[str, object] | None:
    """The statement as a table; None where it does not end here."""
    try:
        return tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        return None


def _code_and_comment(line: str) -> tuple[str, str]:
    """The line before its comment, and the comment's text; a # inside a string begins none."""
    masked = _STRINGS.sub(lambda found: "_" * len(found[0]), line)
    at = masked.find("#")
    return (line, "") if at < 0 else (line[:at], line[at + 1 :].strip())


def _provenance(comment: str) -> Provenance | None:
    kinds = list(dict.fromkeys(_MARK.findall(comment)))
    if not kinds:
        return None
    if len(kinds) == 2:  # the marks stay: they say which part of the value is whose
        kind: Kind = "stated and chosen"
    else:
        kind = "stated" if kinds == ["stated"] else "chosen"
        comment = _MARK.sub("", comment)
    return Provenance(kind, " ".join(comment.split()).lstrip(";:,. "))
