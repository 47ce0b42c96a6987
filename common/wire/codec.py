"""A message as two things that travel: a line of JSON, and one flat array of bytes.

One array a message, because Flower handles every array as an object of its own: 42 of them cost
3 s a round. Nothing here is unpickled, and nothing is believed before it is checked.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar, cast, get_args

import numpy as np
from pydantic import ValidationError

from common.errors import WireError
from common.wire.field_types import Arrays
from common.wire.messages import Message

DTYPES = {"float32": "<f4", "float64": "<f8", "int64": "<i8"}
"""What an array may hold, and its layout in the bytes: little-endian, C order."""

MAX_AXES = 8
MAX_LENGTH = 1 << 31
"""No array of ours has more axes, or is longer along one, or along all that are not 0 together: an
array with no value in it has none to spare for axes that numpy cannot hold."""
MAX_ARRAYS = 1 << 16
"""Of one message; the largest of ours has some thousand."""

MAX_FAULTS_READ = 100
"""Of a message with more only their number is told: the list of millions takes gigabytes."""

MessageT = TypeVar("MessageT", bound=Message)

_BY_NAME: dict[str, type[Message]] = {cls.__name__: cls for cls in get_args(Message)}


@dataclasses.dataclass(frozen=True, slots=True)
class Packed:
    """A message ready to travel.

    header    JSON: the message's class, its plain fields, where each array lies, and in a reply the
              request that it answers
    payload   the arrays' bytes, one after another
    seal, signature   of a request: see seal.py; empty in a reply
    """

    header: str
    payload: bytes
    seal: str = ""
    signature: str = ""

    @property
    def size_bytes(self) -> int:
        """What crosses the wire, Flower's own envelope left out."""
        return len(self.header) + len(self.payload)


def pack(message: Message, *, answers: str | None = None) -> Packed:
    """The message as header and payload; arrays keep their dtype, which must be one of DTYPES.

    answers   of a reply: the exchange id of the request
    """
    plain: dict[str, Any] = {}
    table: list[list[Any]] = []
    chunks: list[bytes] = []
    for field in dataclasses.fields(message):
        value = getattr(message, field.name)
        if not _holds_arrays(field):
            plain[field.name] = _plain(value)
            continue
        for name, array in cast(Arrays, value).items():
            if array.dtype.name not in DTYPES:
                raise WireError(
                    f"{type(message).__name__}.{field.name}[{name!r}]: want one of "
                    f"{', '.join(DTYPES)}, got {array.dtype.name}"
                )
            table.append([field.name, name, array.dtype.name, list(array.shape)])
            chunks.append(np.ascontiguousarray(array, DTYPES[array.dtype.name]).tobytes())
    header = {"message": type(message).__name__, "fields": plain, "arrays": table}
    if answers is not None:
        header["answers"] = answers
    return Packed(json.dumps(header, allow_nan=False), b"".join(chunks))


def code_digest_in(packed: Packed) -> str | None:
    """The digest of the sender's code in a request's header, read before all else is believed.

    Two versions may differ in the very messages: then only this can say so.
    """
    match _header(packed.header)["fields"]:
        case {"assignment": {"code_digest": str() as digest}}:
            return digest
    return None


def answered_by(packed: Packed) -> str | None:
    """The exchange id of the request that a reply answers; None where it names none."""
    answers: str | None = _header(packed.header).get("answers")
    return answers


def unpack(packed: Packed, expected: type[MessageT] | tuple[type[MessageT], ...]) -> MessageT:
    """The message of class `expected` that `packed` holds; WireError for anything else.

    expected   the class, or classes, that may arrive here
    """
    allowed = expected if isinstance(expected, tuple) else (expected,)
    header = _header(packed.header)
    cls = _BY_NAME.get(str(header["message"]))
    if cls not in allowed:
        names = " or ".join(c.__name__ for c in allowed)
        raise WireError(f"message: want {names}, got {header['message']!r:.200}")
    fields = dict(header["fields"])
    known = {field.name for field in dataclasses.fields(cls)}
    if odd := sorted(fields.keys() - known):
        raise WireError(f"{cls.__name__}.{odd[0]:.200}: Unexpected field, the class has none such")
    for field in dataclasses.fields(cls):
        if _holds_arrays(field):
            if field.name in fields:
                raise WireError(f"{cls.__name__}.{field.name}: want arrays, got plain JSON")
            fields[field.name] = {}
    for field_name, name, array in _arrays(header["arrays"], packed.payload):
        if not isinstance(fields.get(field_name), dict) or name in fields[field_name]:
            raise WireError(
                f"{cls.__name__}: array {field_name:.200}[{name!r:.200}] has no place there"
            )
        fields[field_name][name] = array
    return cast(MessageT, _checked(cls, fields))


def _plain(value: object) -> object:
    """A field as JSON has it: dataclasses as objects, also inside a mapping."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return value


def _holds_arrays(field: dataclasses.Field[Any]) -> bool:
    return field.type in ("Arrays", Arrays)


def _header(text: str) -> Mapping[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError(f"header: not JSON: {error}") from None
    wanted = {"message": str, "fields": dict, "arrays": list}
    if not isinstance(header, dict) or set(header) - {"answers"} != set(wanted):
        raise WireError(f"header: want an object with the keys {', '.join(wanted)}")
    for key, kind in {**wanted, "answers": str}.items():
        if key in header and not isinstance(header[key], kind):
            raise WireError(f"header.{key}: want {kind.__name__}, got {type(header[key]).__name__}")
    return header


def _arrays(table: list[Any], payload: bytes) -> list[tuple[str, str, np.ndarray[Any, Any]]]:
    if len(table) > MAX_ARRAYS:
        raise WireError(f"header.arrays: want at most {MAX_ARRAYS} arrays, got {len(table)}")
    arrays = []
    start = 0
    for row in table:
        field_name, name, dtype, shape = _row(row)
        n_values = math.prod(shape)
        stop = start + n_values * np.dtype(DTYPES[dtype]).itemsize
        if stop > len(payload):
            raise WireError(f"payload: {len(payload)} bytes end inside array {name!r:.200}")
        flat = np.frombuffer(payload, DTYPES[dtype], count=n_values, offset=start)
        arrays.append((field_name, name, flat.reshape(shape).astype(dtype)))
        start = stop
    if start != len(payload):
        raise WireError(f"payload: want {start} bytes for the arrays named, got {len(payload)}")
    return arrays


def _row(row: Any) -> tuple[str, str, str, list[int]]:
    match row:
        case [str() as field_name, str() as name, str() as dtype, [*shape]] if (
            dtype in DTYPES
            and len(shape) <= MAX_AXES
            and all(type(n) is int and 0 <= n <= MAX_LENGTH for n in shape)
            and math.prod(max(1, n) for n in shape) <= MAX_LENGTH
        ):
            return field_name, name, dtype, shape
    raise WireError(
        f"header.arrays: want [field, name, dtype, shape], the shape of at most {MAX_AXES} lengths "
        f"with a product of at most {MAX_LENGTH}, got {_shown(row)}"
    )


def _shown(value: object) -> str:
    """The value as text; of one that is nested too deep for that, its class."""
    try:
        return f"{value!r:.200}"
    except RecursionError:
        return f"a {type(value).__name__}"


def _checked(cls: type[Message], fields: Mapping[str, Any]) -> Message:
    try:
        return cls(**fields)
    except ValidationError as error:
        n_faults = error.error_count()
        if n_faults > MAX_FAULTS_READ:
            raise WireError(f"{cls.__name__}: {n_faults} faults in its fields") from None
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise WireError(
            f"{cls.__name__}.{place:.200}: {first['msg']:.200} ({n_faults} faults in all)"
        ) from None
