"""A run as its events tell it until now: where it is, and what each site has done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from common.errors import RunFolderError
from server.events.event_log import Event
from server.events.failure_advice import advice

SITE_ROLES = ("train", "statistics", "evaluate")
"""Of the sites that are asked; the coordinator's own held-out sites have others."""


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
class SiteSoFar:
    """One site in one run.

    state                  never-seen, online, training, late, dropped, rejoined or excluded
    received_bytes         of all its answers
    consecutive_failures   since its last answer
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
    last_failure: Failure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointSoFar:
    """The newest checkpoint: after which round, in which file."""

    time: datetime
    phase: str
    round: int
    file: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """Sites that the run waits for before it goes on without them or ends."""

    sites: tuple[str, ...]
    until: datetime
    have: int
    need: int


@dataclass(slots=True)
class RoundSoFar:
    """One round: when it began, who was asked, who has not been heard of, when it was closed.

    saved   its last checkpoint: after the held-out sites were scored, where they were
    """

    phase: str
    index: int
    started: datetime
    asked: tuple[str, ...]
    open: set[str] = field(default_factory=set)
    n_answered: int = 0
    finished: datetime | None = None
    saved: datetime | None = None

    @property
    def wall_s(self) -> float | None:
        """From its start to its last checkpoint, scoring included; None before it is closed."""
        if self.finished is None:
            return None
        return ((self.saved or self.finished) - self.started).total_seconds()


@dataclass(slots=True)
class RunSoFar:
    """A run, as far as its events go.

    rounds   (phase, round) -> the round, as it was last held
    ended    status and reason of the last event; None while the run goes on or was cut off
    """

    run: str | None = None
    engine: str | None = None
    started: datetime | None = None
    last_event: datetime | None = None
    n_resumed: int = 0
    sites: dict[str, SiteSoFar] = field(default_factory=dict)
    rounds: dict[tuple[str, int], RoundSoFar] = field(default_factory=dict)
    current: RoundSoFar | None = None
    waiting: Waiting | None = None
    checkpoint: CheckpointSoFar | None = None
    damaged_checkpoints: list[str] = field(default_factory=list)
    ended: tuple[str, str | None] | None = None
    states_told: bool = False

    def take(self, event: Event) -> None:
        """Takes one event in; kinds that are not known here are for other readers."""
        time = datetime.fromisoformat(event["time"])
        self.last_event = time
        match event:
            case {"event": "run-started", "run": run, "engine": engine, "sites": sites}:
                self.run, self.engine, self.started = run, engine, time
                for site in sites:
                    if site["role"] in SITE_ROLES:
                        self.sites[site["name"]] = SiteSoFar(name=site["name"], role=site["role"])
            case {"event": "run-resumed"}:
                self.n_resumed += 1
                self.ended = self.waiting = None
                if self.current is not None and self.current.finished is None:
                    self.rounds.pop((self.current.phase, self.current.index))
                    self.current = None  # cut off: it is held again
            case {"event": "run-finished", "status": status}:
                self.ended, self.waiting = (status, event.get("reason")), None
            case {"event": "waiting", "for": names, "until": until, "have": have, "need": need}:
                self.waiting = Waiting(
                    sites=tuple(names), until=datetime.fromisoformat(until), have=have, need=need
                )
            case {"event": "site-state", "site": name, "state": state}:
                self.states_told = True
                self._site(name).state = state
            case {"event": "round-started", "phase": phase, "round": index, "sites": names}:
                self._begin(phase, index, names, time)
            case {"event": "reply", "site": name}:
                self._reply(event, name, time)
            case {"event": "late-reply", "site": name}:
                self._site(name).n_late_replies += 1
            case {"event": "retry", "site": name}:
                self._site(name).last_failure = _failure(event, time)
            case {"event": "site-failed", "site": name}:
                self._failed(event, name, time)
            case {"event": "round-finished", "phase": phase, "round": index}:
                if (held := self.rounds.get((phase, index))) is not None:
                    held.finished = time
                    held.open.clear()
            case {"event": "checkpoint", "phase": phase, "round": index, "file": file}:
                self.checkpoint = CheckpointSoFar(time=time, phase=phase, round=index, file=file)
                if (held := self.rounds.get((phase, index))) is not None:
                    held.saved = time
            case {"event": "checkpoint-damaged", "file": file}:
                self.damaged_checkpoints.append(file)

    def _begin(self, phase: str, index: int, names: list[str], time: datetime) -> None:
        self.waiting = None
        held = self.rounds.get((phase, index))
        if held is None:
            held = RoundSoFar(phase, index, started=time, asked=tuple(names))
        held.asked, held.open, held.n_answered, held.finished = tuple(names), set(names), 0, None
        self.rounds[phase, index] = self.current = held
        for name in names:
            self._derive(name, "training")

    def _reply(self, event: Event, name: str, time: datetime) -> None:
        site = self._site(name)
        site.last_reply_phase, site.last_reply_round = event.get("phase"), event.get("round")
        site.last_reply_time = time
        site.received_bytes += event.get("size_bytes") or 0
        site.consecutive_failures = 0
        self._derive(name, "online")
        if self.current is not None and name in self.current.open:
            self.current.open.discard(name)
            self.current.n_answered += 1

    def _failed(self, event: Event, name: str, time: datetime) -> None:
        site = self._site(name)
        site.consecutive_failures += 1
        site.last_failure = _failure(event, time)
        if site.last_failure.code == "deadline":
            self._derive(name, "late")
        elif site.last_failure.code != "absent":
            self._derive(name, "online")
        elif site.state != "never-seen":
            self._derive(name, "dropped")
        if self.current is not None:
            self.current.open.discard(name)

    def _derive(self, name: str, state: str) -> None:
        """A state from other events, for runs that do not record the sites' states."""
        if not self.states_told:
            self._site(name).state = state

    def _site(self, name: str) -> SiteSoFar:
        return self.sites.setdefault(name, SiteSoFar(name=name, role="train"))


def _failure(event: Event, time: datetime) -> Failure:
    code = str(event.get("code", "error"))
    return Failure(
        time=time,
        phase=str(event.get("phase", "-")),
        round=int(event.get("round", 0)),
        error=str(event.get("error", code)),
        code=code,
        advice=advice(code),
    )


def read_run_so_far(events_file: Path) -> RunSoFar:
    """The run until now; an empty one where it has not begun.

    A last line without its end is passed over: the run may be writing it. RunFolderError where
    another line cannot be read.
    """
    so_far = RunSoFar()
    for i, line in enumerate(_whole_lines(events_file), start=1):
        try:
            so_far.take(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunFolderError(
                f"{events_file}, line {i}: not an event ({type(error).__name__}: {error}). Restore "
                "the file from a backup, or take the line out."
            ) from None
    return so_far


def _whole_lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from (line for line in file if line.endswith("\n") and line.strip())
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot be read: {error.strerror}. Check the permissions."
        ) from None
