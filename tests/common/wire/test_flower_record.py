from __future__ import annotations

import pytest

from common.errors import WireError
from common.wire import flower_record
from common.wire.codec import Packed
from common.wire.flower_record import from_record, to_record


def test_a_long_header_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flower_record, "HEADER_LIMIT_BYTES", 4)
    assert from_record(to_record(Packed("[[[[", b"x")), limit_bytes=5) == Packed("[[[[", b"x")
    with pytest.raises(WireError, match="want a header of at most 4 bytes, got 5"):
        from_record(to_record(Packed("[[[[[", b"")), limit_bytes=100)


def test_header_and_payload_together_have_a_limit() -> None:
    with pytest.raises(WireError, match="want at most 4 bytes, got 5"):
        from_record(to_record(Packed("[[", b"xxx")), limit_bytes=4)
