"""One request to a site, and what becomes of its answer."""

from __future__ import annotations

import logging
import re
import secrets
import time
import traceback
from dataclasses import dataclass
from typing import Any

from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

from common.errors import WireError
from common.wire.codec import Packed, answered_by, unpack
from common.wire.flower_record import from_record
from common.wire.messages import SiteFailure
from server.events.event_log import Place
from server.rounds.phase import Accumulate

log = logging.getLogger(__name__)

ABSENT = SiteFailure(error="NotThere", code="absent")
LATE = SiteFailure(error="DeadlinePassed", code="deadline")
NOT_DELIVERED = SiteFailure(error="NotDelivered", code="transport")
UNUSABLE = SiteFailure(error="WireError", code="unusable-reply")
"""An answer that made our own code fail where it should have been refused."""

_UNAVAILABLE = f"flower-{ErrorCode.NODE_UNAVAILABLE}"
_LOST = (
    ErrorCode.UNKNOWN,
    ErrorCode.CLIENT_APP_RAISED_EXCEPTION,
    ErrorCode.MESSAGE_UNAVAILABLE,
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
    ErrorCode.NODE_UNAVAILABLE,
    ErrorCode.CLIENT_APP_CRASHED,
)
RETRY_CODES = frozenset({NOT_DELIVERED.code, *(f"flower-{code}" for code in _LOST)})
"""Codes of a lost message or a killed process: the same request may succeed the next time. What a
site says itself (policy, other code, no lesions) stays as it is until somebody changes it."""

_REASON = re.compile(r"(?P<error>[A-Za-z]{1,60}): (?P<code>[a-z0-9-]{1,60})")
"""What a site's own program for Flower gives as the reason: a class and a code."""


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A message on its way, until its answer is in.

    limit_bytes   a larger answer is refused before it is decoded
    sent_at       on the monotonic clock, as closes_at
    closes_at     when its round closes at the latest: an answer after that is late
    place         phase and round it belongs to
    may_be_late   whether its exchange takes late answers
    """

    site: str
    exchange_id: str
    limit_bytes: int
    sent_at: float
    place: Place
    closes_at: float
    may_be_late: bool


def new_exchange_id() -> str:
    """32 hexadecimal digits that cannot be predicted; nothing else depends on them."""
    return secrets.token_hex(16)


def is_gone(failure: SiteFailure) -> bool:
    """Whether the failure says that the site's SuperNode is not online."""
    return failure.code in (ABSENT.code, _UNAVAILABLE)


def accumulate_answer(
    pending: PendingRequest, message: Message, *, reply: type[Any], accumulate: Accumulate
) -> dict[str, Any] | SiteFailure:
    """Facts for the event log once the answer is accumulated, or why it could not be.

    Whatever goes wrong while a site's answer is read, checked or accumulated is that site's
    failure, and the others continue. Only an OSError while it is accumulated is raised as it is: of
    all that is done with an answer, recording it alone touches this machine's disk.
    """
    try:
        if message.has_error():
            failure = _failure_from_flower(message.error)
            log.warning("site %s: %s (%s)", pending.site, failure.error, failure.code)
            return failure
        packed, answer = _read(pending, message, reply)
    except Exception as error:  # any: what arrives is hostile, and none of it may end the run
        return _left_out(pending.site, error)
    if isinstance(answer, SiteFailure):
        return answer
    try:
        facts = dict(accumulate(pending.site, answer))
    except OSError:
        raise
    except Exception as error:
        return _left_out(pending.site, error)
    wall_s = round(time.monotonic() - pending.sent_at, 3)
    return {"wall_s": wall_s, "size_bytes": packed.size_bytes, "facts": facts}


def _read(pending: PendingRequest, message: Message, reply: type[Any]) -> tuple[Packed, Any]:
    """The answer, as it came and decoded: a `reply` or a SiteFailure; WireError for others."""
    packed = from_record(message.content, limit_bytes=pending.limit_bytes)
    answer = unpack(packed, (reply, SiteFailure))
    # a site that could not read the request cannot say which it was
    unread = isinstance(answer, SiteFailure) and answered_by(packed) is None
    if answered_by(packed) != pending.exchange_id and not unread:
        raise WireError(
            f"want the answer to {pending.exchange_id}, got one to {answered_by(packed)!r:.200}: "
            "an old answer came again",
            code="replayed",
        )
    return packed, answer


def _left_out(site: str, error: Exception) -> SiteFailure:
    """The site's failure; of an error that is not ours, the log says where it arose."""
    if isinstance(error, WireError):
        log.warning("site %s: answer left out: %s", site, error.code)
        return SiteFailure(error=type(error).__name__, code=error.code)
    *_, place = traceback.extract_tb(error.__traceback__)
    # not the error's text: it may quote what the site sent
    log.error(
        "site %s: answer left out: it caused a %s in %s, line %d",
        site,
        type(error).__name__,
        place.filename,
        place.lineno,
    )
    return UNUSABLE


def _failure_from_flower(error: Error) -> SiteFailure:
    """Class and code; any other words, which may hold a site's paths, are dropped unread."""
    reason = _REASON.fullmatch(error.reason or "")
    if reason is not None and reason["code"] != "internal":
        return SiteFailure(error=reason["error"], code=reason["code"])
    return SiteFailure(error="FlowerError", code=f"flower-{error.code}")
