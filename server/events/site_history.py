"""What has happened to one site in a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from server.events.failure_advice import advice
from server.events.run_event import SiteEvent
from server.events.schema import LateReply, SiteFailed, SiteReplied, SiteRetried, SiteStateChanged


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """What a site could not do, and what to do about it."""

    time: datetime
    phase: str
    round: int
    error: str
    code: str
    advice: str


@dataclass(kw_only=True, slots=True)
class SiteHistory:
    """One site in one run.

    state                  never-seen, online, training, late, dropped, rejoined or excluded
    received_bytes         of all its answers, those of void rounds too
    consecutive_failures   since its last answer
    is_failing             whether it has failed since its last answer, or is asked again after that
    last_failure           also where the site has answered again since
    """

    name: str
    role: str
    state: str = "never-seen"
    last_reply_phase: str | None = None
    last_reply_round: int | None = None
    last_reply_time: datetime | None = None
    received_bytes: int = 0
    consecutive_failures: int = 0
    n_late_replies: int = 0
    is_failing: bool = False
    last_failure: Failure | None = None

    def accept(self, event: SiteEvent, *, derives_state: bool) -> None:
        """Adds the next event of this site.

        derives_state   whether the state follows from other events: in runs that do not record it
        """
        derived: str | None = None
        match event:
            case SiteReplied():
                self.last_reply_phase, self.last_reply_round = event.phase, event.round
                self.last_reply_time = event.time
                self.received_bytes += event.size_bytes or 0
                self.consecutive_failures, self.is_failing = 0, False
                derived = "online"
            case LateReply():
                self.n_late_replies += 1
            case SiteRetried():
                self.last_failure, self.is_failing = _failure(event, event.code), True
            case SiteFailed():
                self.last_failure, self.is_failing = _failure(event, event.error), True
                self.consecutive_failures += 1
                derived = {"deadline": "late", "absent": "dropped"}.get(event.code, "online")
                if event.code == "absent" and self.state == "never-seen":
                    derived = None
            case SiteStateChanged():
                self.state = event.state
        if derives_state and derived is not None:
            self.state = derived


def _failure(event: SiteRetried | SiteFailed, error: str) -> Failure:
    return Failure(
        time=event.time,
        phase=event.phase,
        round=event.round,
        error=error,
        code=event.code,
        advice=advice(event.code),
    )
