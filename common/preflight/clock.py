"""Is this machine's clock the coordinator's?"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from common.preflight.check import Check, not_checked, passed, problem, warning
from common.preflight.coordinator import Coordinator, reason, unverified

NAME = "clock"

AHEAD_S = 5.0
"""Flower refuses a signature from further in the future: SYSTEM_TIME_TOLERANCE of
flwr.common.constant, in superlink/routers/fleet/node_auth.py (1.41)."""
APART_S = 60.0
"""A problem either way. Flower takes signatures up to 305 s old (TIMESTAMP_TOLERANCE of 300 and
the 5 above), and a slow upload or a drifting clock needs what is left."""
NOTICED_S = 2.0
"""The Date header has whole seconds."""


def clock(coordinator: Coordinator) -> Check:
    """How far this clock is from that of the proxy, by the Date header of its answer to `/`.

    The certificate is not looked at here, since a clock that is far off makes a good one look bad;
    nothing is sent, and what is learnt is only shown.
    """
    try:
        answer = coordinator.answer("GET", "/", trust=unverified())
    except OSError as error:
        return not_checked(NAME, f"the proxy does not answer: {reason(error)}")
    here = datetime.now(UTC)
    try:
        there = parsedate_to_datetime(answer.date or "")
        ahead_s = (here - there).total_seconds() - 0.5 - answer.took_s / 2
    except (ValueError, TypeError):
        return not_checked(NAME, f"the proxy's answer has no usable date: {answer.date!r}")
    return judged(ahead_s)


def judged(ahead_s: float) -> Check:
    """The check's words; ahead_s: this clock minus the coordinator's, seconds."""
    found = f"{amount(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} the coordinator's"
    fix = "Set this machine's clock and keep it by NTP (timedatectl set-ntp true)."
    if ahead_s > AHEAD_S or abs(ahead_s) > APART_S:
        why = "the server refuses signatures of another time"
        return problem(NAME, f"this clock is {found}: {why}", fix)
    if abs(ahead_s) > NOTICED_S:
        return warning(NAME, f"this clock is {found}", fix)
    return passed(NAME, f"within {NOTICED_S:.0f} s of the coordinator's")


def amount(seconds: float) -> str:
    """Seconds below two minutes, else minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
