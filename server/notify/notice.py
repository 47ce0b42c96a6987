"""Notices of a run for people who do not watch it, from its events."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from server.events import schema
from server.events.failure_advice import advice
from server.events.history import RunHistory
from server.events.run_event import RoundEvent, RunEvent

FILE = "notices.jsonl"
"""In the run's folder: each notice and whether it could be sent."""

What = Literal["run-finished", "site-dropped", "site-excluded", "waiting", "stalled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One message about a run.

    site     the site concerned; several are separated by commas
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

    def as_text(self) -> str:
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
    """Makes notices of one run's events, from its history and the event that came last.

    Sites that are waited for are named once, until a round begins with them.
    """

    def __init__(self, *, federation: str | None, run: str) -> None:
        self._federation = federation
        self._run = run
        self.history = RunHistory()
        self._awaited: set[str] = set()

    def of(self, event: RunEvent) -> Notice | None:
        """The notice that the event is worth, most often none."""
        self.history.accept(event)
        match event:
            case schema.RoundStarted():
                self._awaited -= set(event.sites)
            case schema.SiteStateChanged(state="dropped" | "excluded" as state):
                site = self.history.by_site[event.site]
                failure = site.last_failure if site.is_failing else None
                code = failure.code if failure else "absent"
                return self._notice(
                    "site-dropped" if state == "dropped" else "site-excluded",
                    event,
                    site=event.site,
                    reason=code,
                    to_do=advice(code),
                )
            case schema.WaitingForSites(sites=sites) if not set(sites) <= self._awaited:
                self._awaited |= set(sites)
                return self._notice(
                    "waiting",
                    event,
                    site=", ".join(sites),
                    reason=f"{event.have} sites are online and {event.need} are needed; waits "
                    "until " + event.until.isoformat(timespec="seconds"),
                    to_do=advice("absent"),
                )
            case schema.RunFinished(status=status):
                run = self._run
                return self._notice(
                    "run-finished",
                    event,
                    status=status,
                    reason=event.reason,
                    to_do=None
                    if status == "completed"
                    else f"`lesionfed status {run}` says where it stands; then "
                    f"`lesionfed resume {run}`.",
                )
        return None

    def stalled(self, quiet_s: float) -> Notice:
        """That nothing has been recorded for this long."""
        return self._notice(
            "stalled",
            None,
            reason=f"nothing was recorded for {quiet_s:.0f} s",
            to_do=f"`lesionfed status {self._run}` says what it waits for; then `lesionfed logs "
            f"{self._run}`.",
        )

    def _notice(
        self,
        what: What,
        event: RunEvent | None,
        *,
        to_do: str | None,
        site: str | None = None,
        status: str | None = None,
        reason: str | None = None,
    ) -> Notice:
        current = self.history.current
        phase, index = (current.phase, current.index) if current else (None, None)
        match event:
            case RoundEvent() | schema.WaitingForSites(phase=str()):
                phase, index = event.phase, event.round
        time = datetime.now(UTC) if event is None else event.time
        return Notice(
            federation=self._federation,
            run=self._run,
            what=what,
            time=time.isoformat(timespec="milliseconds"),
            site=site,
            phase=phase,
            round=index,
            status=status,
            reason=reason,
            advice=to_do,
        )


def record_notice(run: Path, notice: Notice, *, channel: str, error: str | None) -> None:
    """Adds one line; `error` is None where the notice was taken."""
    facts = {"time": notice.time, "what": notice.what, "site": notice.site}
    line = json.dumps({**facts, "channel": channel, "error": error})
    with (run / FILE).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def n_undelivered(run: Path) -> int:
    """How many notices could not be sent; a half-written last line counts as none."""
    try:
        lines = (run / FILE).read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return 0
    return sum(_has_error(line) for line in lines)


def _has_error(line: str) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and entry.get("error") is not None
