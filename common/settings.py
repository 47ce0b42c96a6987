"""TOML in, checked and frozen settings out; the only reader of TOML in the project."""

from __future__ import annotations

import codecs
import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from common.errors import ConfigError, printable

Table = dict[str, Any]

LARGEST_BYTES = 256 * 1024
"""Of a file of settings; the longest that ships has 20 kB."""

MOST_DOTS = 64
"""On one line, several side by side counted once. Python's reader of TOML takes the square of the
parts of a dotted key: with these two bounds no text takes it longer than 3 s (measured)."""

MOST_LEVELS = 150
"""Of tables and lists in each other; a recipe has 5. Of some hundred more Python cannot print."""

SHOWN_FAULTS = 20


class Settings(BaseModel):
    """Base of every settings object: frozen, typed, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    @classmethod
    def from_table(cls, table: Mapping[str, Any], *, where: str) -> Self:
        """The checked settings; ConfigError lists every fault in `table` at once.

        where   what the table was read from, named in the error
        """
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            found = [cast(Table, fault) for fault in error.errors()]
            own = [fault for fault in found if not _follows(fault, found)]
            faults = [_fault(cls, fault) for fault in own[:SHOWN_FAULTS]]
            if len(own) > SHOWN_FAULTS:
                faults.append(f"and {len(own) - SHOWN_FAULTS} more faults")
            raise ConfigError("\n".join([f"{where}:", *(f"  {f}" for f in faults)])) from None

    def canonical_json(self) -> str:
        """These settings as one line of JSON: sorted keys, no spaces, every default spelled out."""
        return json.dumps(
            self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False
        )

    def sha256(self) -> str:
        """Digest of the canonical JSON, 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


def or_none(wanted: str | None = None) -> BeforeValidator:
    """For a field that may be unset: the word "none" unsets it, since TOML has no null.

    wanted   what the field holds, for the error where another text is given, such as "a number";
             None where it holds texts
    """

    def unset(value: object) -> object:
        if value == "none":
            return None
        if wanted is not None and isinstance(value, str):
            raise ValueError(f'want {wanted}, or "none", got {value!r}')
        return value

    return BeforeValidator(unset)


def read_toml(path: Path) -> Table:
    """The table in one TOML file; ConfigError names the file and the line that is wrong.

    ConfigError too, before it is parsed, where the file has more than LARGEST_BYTES or a line of it
    more than MOST_DOTS; after it, where it is nested deeper than MOST_LEVELS or has a whole number
    of more than 64 bits.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. Check the path.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigError(
            f"{path}: want text in UTF-8, found UTF-16. Save it as UTF-8 (in Windows' editor: Save "
            "as, Encoding: UTF-8)."
        )
    try:
        _require_modest(content)
        text = content.decode("utf-8-sig")  # without the mark of Windows' editors
        return _parsed(text.replace("\r\n", "\n").replace("\r", "\n"))
    except RecursionError:
        raise ConfigError(f"{path}: tables or lists nested too deeply. Write fewer.") from None
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError among them
        raise ConfigError(f"{path}: not readable as TOML: {error}") from None


def _require_modest(content: bytes) -> None:
    """Raise ValueError for a text that could take the parser long."""
    if len(content) > LARGEST_BYTES:
        raise ValueError(f"want at most {LARGEST_BYTES} bytes, found more")
    for number, line in enumerate(re.split(b"[\r\n]", content), start=1):
        if len(re.findall(rb"\.+", line)) > MOST_DOTS:
            raise ValueError(
                f"line {number}: want at most {MOST_DOTS} dots, found more. Write a long list on "
                "several lines"
            )


def _parsed(text: str) -> Table:
    table = tomllib.loads(text)
    _require_ordinary(table, level=0)
    return table


def _require_ordinary(value: object, *, level: int) -> None:
    """Raise ValueError for what Python can hold and not write: repr and JSON would fail over it."""
    if level > MOST_LEVELS:
        raise ValueError(f"want tables and lists nested {MOST_LEVELS} deep at most, found deeper")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise ValueError(
            f"want whole numbers of 64 bits at most, found one of {value.bit_length()} bits"
        )
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in inner:
        _require_ordinary(part, level=level + 1)


def with_overrides(table: Mapping[str, Any], overrides: Iterable[str]) -> Table:
    """A copy of `table` in which each `a.b=c` has replaced or added one value.

    overrides   texts such as `optimizer.steps=20`; the value is read as TOML, else as plain text
    """
    changed = dict(table)
    for override in overrides:
        dotted, equals, text = override.partition("=")
        if not equals or not all(dotted.split(".")):
            raise ConfigError(f"--set {override!r}: want KEY=VALUE, such as optimizer.steps=20")
        changed = with_value(changed, dotted.strip(), _toml_value(text.strip()))
    return changed


def with_value(table: Mapping[str, Any], dotted: str, value: object) -> Table:
    """A copy of `table` with one value set; `dotted` is its place, such as `optimizer.steps`."""
    return _with_value(table, dotted.split("."), value, dotted)


def _with_value(table: Mapping[str, Any], keys: list[str], value: object, dotted: str) -> Table:
    first, *rest = keys
    if not rest:
        return {**table, first: value}
    inner = table.get(first, {})
    if not isinstance(inner, Mapping):
        raise ConfigError(
            f"{dotted}: {first!r} is a value ({inner!r}), not a table of settings. Leave this "
            f"setting out, or set {first!r} to a whole table, such as {first}={{...}}"
        )
    return {**table, first: _with_value(inner, rest, value, dotted)}


def _toml_value(text: str) -> object:
    try:
        return _parsed(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _follows(fault: Mapping[str, Any], faults: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a list is too short only because what it holds is faulty, which is said anyway."""
    place = fault["loc"]
    return fault["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in faults
    )


def _fault(model: type[BaseModel], fault: Mapping[str, Any]) -> str:
    location, holder = _without_tags(model, fault["loc"])
    key = printable(".".join(str(part) for part in location)) or "(whole file)"
    if fault["type"] == "extra_forbidden":
        valid = list(holder.model_fields)
        near = difflib.get_close_matches(str(location[-1]), valid, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(sorted(valid))}"
        if len(location) < len(fault["loc"]):  # one of several parts, which its name chooses
            name = str(fault["loc"][-2])
            hint += f". A part of another name is set whole: {_whole_part(location, name)}"
        return f"{key}: unknown key; {hint}"
    if fault["type"] == "missing":
        return f"{key}: missing; add it"
    if fault["type"] == "union_tag_invalid":
        return (
            f"{key}.name: want one of {fault['ctx']['expected_tags']}, got {fault['ctx']['tag']!r}"
        )
    if fault["type"] == "union_tag_not_found":
        return f"{key}.name: missing; add it"
    if fault["type"] == "value_error":  # one of our own checks, which says what it got
        return f"{key}: {fault['ctx']['error']}"
    return f"{key}: {fault['msg']}, got {fault['input']!r:.200}"


def _whole_part(location: Sequence[str | int], name: str) -> str:
    """What to type for the part of this name in place of the one that has this key."""
    return f"""--set '{".".join(str(part) for part in location[:-1])}={{name="{name}"}}'"""


def _without_tags(
    model: type[BaseModel], location: Sequence[str | int]
) -> tuple[list[str | int], type[BaseModel]]:
    """The key as the file has it, and the settings class that holds it.

    Where a section is one of several classes, distinguished by `name`, pydantic puts that name into
    the location, and the file does not have it.
    """
    plain: list[str | int] = []
    holder, choices = model, list[type[BaseModel]]()
    for part in location:
        if len(choices) > 1:
            tagged = {get_args(c.model_fields["name"].annotation): c for c in choices}
            holder, choices = tagged[(part,)], []
            continue
        if choices:
            holder = choices[0]
        plain.append(part)
        field = holder.model_fields.get(part) if isinstance(part, str) else None
        choices = [] if field is None else _settings_in(field.annotation)
    return plain, holder


def _settings_in(annotation: Any) -> list[type[BaseModel]]:
    """The settings classes that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [cls for inner in get_args(annotation) for cls in _settings_in(inner)]
