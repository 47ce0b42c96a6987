"""What one site's answer can do to a round: nothing but fail."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict

from common.errors import UpdateRejected
from common.wire.codec import Packed, pack
from common.wire.flower_record import to_record
from common.wire.messages import MiningReply, SiteFailure, SiteUpdate
from server.events.event_log import Place
from server.inline import InlineGrid
from server.rounds.pending_request import PendingRequest, accumulate_answer

ID = "0" * 32
PENDING = PendingRequest(
    "lyon",
    ID,
    limit_bytes=1 << 20,
    sent_at=0.0,
    place=Place(phase="training", round=1),
    closes_at=60.0,
    may_be_late=False,
)
WIRE = SiteFailure(error="WireError", code="wire")
UNUSABLE = SiteFailure(error="WireError", code="unusable-reply")
FAR = 1 << 31


def asked() -> Message:
    return InlineGrid({"lyon": Path("site.toml")}).create_message(RecordDict(), "query", 2, "1")


def answer(packed: Packed) -> Message:
    return Message(to_record(packed), reply_to=asked())


def update(shape: list[int], **fields: object) -> Packed:
    """An update whose header says that its only array has this shape, and holds these fields."""
    plain: dict[str, object] = {
        "n_cases": 4,
        "lesion_volume_ml": 12.5,
        "loss": 0.5,
        "segmentation_loss": 0.25,
        "site_loss": None,
        "estimated_lesion_f1": None,
        "true_lesion_f1": None,
        "validation_dice": 0.125,
        "n_validation_cases": 1,
        "wall_s": 2.0,
    }
    header = {
        "message": "SiteUpdate",
        "fields": plain | fields,
        "arrays": [["change", "w", "float32", shape]],
        "answers": ID,
    }
    return Packed(json.dumps(header), b"")


def outcome(
    message: Message,
    accumulate: Callable[[str, Any], Mapping[str, object]] = lambda site, reply: {},
    *,
    reply: type[Any] = SiteUpdate,
) -> dict[str, Any] | SiteFailure:
    return accumulate_answer(PENDING, message, reply=reply, accumulate=accumulate)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(lambda: answer(update([0, FAR, FAR])), id="a shape that numpy cannot hold"),
        pytest.param(lambda: answer(update([-1])), id="a negative length"),
        pytest.param(lambda: answer(update([0], __dataclass_self__=1)), id="a constructor's name"),
        pytest.param(lambda: answer(update([0], n_cases=10**400)), id="a number beyond all floats"),
        pytest.param(lambda: answer(update([0], loss=float("nan"))), id="not finite"),
        pytest.param(lambda: answer(Packed("[" * 100_000, b"")), id="a list within lists"),
        pytest.param(lambda: Message(RecordDict(), reply_to=asked()), id="nothing"),
        pytest.param(
            lambda: Message(
                RecordDict({"lesionfed.header": ConfigRecord({"json": 3})}), reply_to=asked()
            ),
            id="a header that is no text",
        ),
    ],
)
def test_an_answer_that_cannot_be_read_is_the_sites_failure(
    message: Callable[[], Message],
) -> None:
    assert outcome(message()) == WIRE


def test_an_answer_that_says_nothing_at_all_is_the_sites_failure() -> None:
    message = Message(Error(10**18, "\x1b[2J"), reply_to=asked())
    assert outcome(message) == SiteFailure(error="FlowerError", code=f"flower-{10**18}")


def breaks(error: Exception) -> Callable[[str, Any], Mapping[str, object]]:
    def accumulate(site: str, reply: MiningReply) -> Mapping[str, object]:
        raise error

    return accumulate


@pytest.mark.parametrize(
    "error",
    [
        ValueError("\x1b[2J"),
        KeyError("w"),
        OverflowError(),
        MemoryError(),
        RecursionError(),
        np.linalg.LinAlgError(),
        AssertionError(),
        ZeroDivisionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_goes_wrong_while_it_is_accumulated_is_the_sites_failure(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    packed = pack(MiningReply(n_cases=1, n_negatives=2), answers=ID)
    with caplog.at_level(logging.ERROR):
        assert outcome(answer(packed), breaks(error), reply=MiningReply) == UNUSABLE
    [record] = caplog.records
    assert f"site lyon: answer left out: it caused a {type(error).__name__}" in record.message
    assert Path(__file__).name in record.message  # where it arose
    assert "\x1b" not in record.message


def test_what_the_phase_refuses_keeps_its_code() -> None:
    packed = pack(MiningReply(n_cases=1, n_negatives=2), answers=ID)
    refused = outcome(answer(packed), breaks(UpdateRejected("no")), reply=MiningReply)
    assert refused == SiteFailure(error="UpdateRejected", code="update-rejected")


def test_a_full_disk_at_the_coordinator_is_no_failure_of_the_site() -> None:
    packed = pack(MiningReply(n_cases=1, n_negatives=2), answers=ID)
    with pytest.raises(OSError, match="No space left"):
        outcome(answer(packed), breaks(OSError(28, "No space left on device")), reply=MiningReply)
