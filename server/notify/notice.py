"""What is worth telling somebody about a run, from its events."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from server.events.event_log import Event
from server.events.failure_advice import advice

What = Literal["run-finished", "site-dropped", "site-excluded", "waiting", "stalled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One thing to tell.

    site     the site concerned; several are parted by commas
    status   of a run that ended: completed, stopped or failed
    reason   a code, or the coordinator's own words; those of a run that ended may hold paths of
             its machine. Never a site's text
    advice   what to do
    time     UTC, ISO 8601
    """

    federation: str | None
    run: str
    what: What
    time: str
    site: str | None = None
    phase: str | None = None
    round: int | None = None
    status: str | None = None
    reason: str | None = None
    advice: str | None = None

    def as_json(self) -> str:
        """One line."""
        return json.dumps(dataclasses.asdict(self))

    def for_outside(self) -> Notice:
        """The same without the words of an error: they may hold paths of the coordinator."""
        return dataclasses.replace(self, reason=None) if self.what == "run-finished" else self

    def in_words(self) -> str:
        """The same as a few lines of text."""
        place = f"round {self.round} of {self.phase}" if self.phase is not None else None
        facts = {
            "federation": self.federation,
            "run": self.run,
            "what": self.what,
            "site": self.site,
            "where": place,
            "status": self.status,
            "reason": self.reason,
            "to do": self.advice,
            "time": self.time,
        }
        return "".join(f"{name}: {fact}\n" for name, fact in facts.items() if fact is not None)


class Notices:
    """Makes notices of one run's events, and remembers what they need to say.

    A wait for a site is told once, until a round begins with it.
    """

    def __init__(self, *, federation: str | None, run: str) -> None:
        self._federation = federation
        self._run = run
        self._codes: dict[str, str] = {}
        self._awaited: set[str] = set()
        self._place: tuple[str | None, int | None] = (None, None)

    def of(self, event: Event) -> Notice | None:
        """What the event is worth telling, most often nothing."""
        match event:
            case {"event": "round-started", "phase": phase, "round": index, "sites": sites}:
                self._place = (phase, index)
                self._awaited -= set(sites)
            case {"event": "reply", "site": site}:
                self._codes.pop(site, None)
            case {"event": "site-failed" | "retry", "site": site, "code": code}:
                self._codes[site] = code
            case {"event": "site-state", "site": site, "state": "dropped" | "excluded" as state}:
                code = self._codes.get(site, "absent")
                return self._notice(
                    "site-dropped" if state == "dropped" else "site-excluded",
                    event,
                    site=site,
                    reason=code,
                    todo=advice(code),
                )
            case {"event": "waiting", "for": sites, "until": until, "have": have, "need": need}:
                if set(sites) <= self._awaited:
                    return None
                self._awaited |= set(sites)
                return self._notice(
                    "waiting",
                    event,
                    site=", ".join(sites),
                    reason=f"{have} sites are there and {need} are needed; waits until {until}",
                    todo=advice("absent"),
                )
            case {"event": "run-finished", "status": status}:
                return self._notice(
                    "run-finished",
                    event,
                    status=status,
                    reason=event.get("reason"),
                    todo=None
                    if status == "completed"
                    else f"`lesionfed status {self._run}` says where it stands; then "
                    f"`lesionfed resume {self._run}`.",
                )
        return None

    def stalled(self, quiet_s: float) -> Notice:
        """That nothing has been recorded for this long."""
        return self._notice(
            "stalled",
            {},
            reason=f"nothing was recorded for {quiet_s:.0f} s",
            todo=f"`lesionfed status {self._run}` says what it waits for; then `lesionfed logs "
            f"{self._run}`.",
        )

    def _notice(
        self,
        what: What,
        event: Event,
        *,
        todo: str | None,
        site: str | None = None,
        status: str | None = None,
        reason: str | None = None,
    ) -> Notice:
        phase, index = self._place
        return Notice(
            federation=self._federation,
            run=self._run,
            what=what,
            time=event.get("time") or datetime.now(UTC).isoformat(timespec="milliseconds"),
            site=site,
            phase=event.get("phase", phase),
            round=event.get("round", index),
            status=status,
            reason=reason,
            advice=todo,
        )
