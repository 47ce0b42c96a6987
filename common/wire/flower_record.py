"""A packed message in Flower's own containers, and back."""

from __future__ import annotations

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from common.errors import WireError
from common.wire.codec import Packed

RECORD = "lesionfed"
HEADER_LIMIT_BYTES = 4 << 20
"""A longer header is refused before it is parsed: one of 15 MB, full of faults, took gigabytes. The
longest real ones have some 100 kB, and 3 MB with the digests of 40,000 images."""
ARRAY_KIND = "lesionfed.flat"
"""Not Flower's own array kind: nothing here is meant for its readers."""


def to_record(packed: Packed) -> RecordDict:
    """One ConfigRecord with the header and one ArrayRecord with one flat array of bytes."""
    flat = Array("uint8", (len(packed.payload),), ARRAY_KIND, packed.payload)
    outside = {"seal": packed.seal, "signature": packed.signature}
    return RecordDict(
        {
            f"{RECORD}.header": ConfigRecord({"json": packed.header, **outside}),
            f"{RECORD}.payload": ArrayRecord({"flat": flat}),
        }
    )


def from_record(record: RecordDict, *, limit_bytes: int) -> Packed:
    """The packed message in `record`; WireError when it is not ours or larger than the limit."""
    try:
        head = record.config_records[f"{RECORD}.header"]
        header, seal, signature = head["json"], head["seal"], head["signature"]
        flat = record.array_records[f"{RECORD}.payload"]["flat"]
    except KeyError as error:
        raise WireError(f"record: no {error.args[0]!r}; it holds {sorted(record)}") from None
    if flat.stype != ARRAY_KIND or not (
        isinstance(header, str) and isinstance(seal, str) and isinstance(signature, str)
    ):
        raise WireError("record: header or payload is not of the kind LesionFed sends")
    if len(header) > HEADER_LIMIT_BYTES:
        raise WireError(
            f"record: want a header of at most {HEADER_LIMIT_BYTES} bytes, got {len(header)}"
        )
    size_bytes = len(header) + len(flat.data) + len(seal) + len(signature)
    if size_bytes > limit_bytes:
        raise WireError(f"record: want at most {limit_bytes} bytes, got {size_bytes}")
    return Packed(header, flat.data, seal, signature)
