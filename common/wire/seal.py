"""What stands on the outside of a request: for whom it is, its place in the run, what is inside.

A site reads the seal, and whose signature it bears, before it decodes anything of the request.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import Field

from common.errors import WireError
from common.settings import Settings
from common.wire.codec import Packed
from common.wire.field_types import Digest, ExchangeId
from common.wire.messages import Assignment

LONGEST = 4096
"""Characters of a seal; a real one has some 500."""

Ordinal = Annotated[int, Field(ge=1, lt=1 << 53)]


class Seal(Settings):
    """The seal of one request."""

    run: Annotated[str, Field(min_length=1, max_length=200)]
    site: Annotated[str, Field(min_length=1, max_length=200)]
    phase: Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,59}$")]
    round_index: Ordinal
    exchange_id: ExchangeId
    sitting: Ordinal
    """Each start of the coordinator's process, at first or by `resume`, has a larger one."""
    number: Ordinal
    """Of the requests of a sitting, to whatever site: each has a larger one than those before."""
    header_sha256: Digest
    payload_sha256: Digest


def digests(packed: Packed) -> dict[str, str]:
    """What a seal says of the content."""
    return {
        "header_sha256": hashlib.sha256(packed.header.encode(errors="surrogatepass")).hexdigest(),
        "payload_sha256": hashlib.sha256(packed.payload).hexdigest(),
    }


def require_sealed_for(seal: Seal, assignment: Assignment) -> None:
    """Nothing, or WireError where the request inside is another than its seal says."""
    for name in ("run", "site", "phase", "round_index", "exchange_id"):
        outside, inside = getattr(seal, name), getattr(assignment, name)
        if outside != inside:
            raise WireError(
                f"the request's seal says {name} = {outside!r:.200}, and the request itself "
                f"{inside!r:.200}. Tell the coordinator.",
                code="seal",
            )
