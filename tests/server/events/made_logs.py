"""Logs of runs that are cut off at any line and resumed, and what counts of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from server.evaluation.case_row import CaseRow
from server.events.run_event import RunEvent
from server.events.schema import (
    CheckpointSaved,
    Evaluated,
    LateReply,
    RoundFinished,
    RoundSelected,
    RoundStarted,
    RunFinished,
    RunResumed,
    RunStarted,
    SiteFailed,
    SiteReplied,
    SiteRetried,
    SiteRole,
    SiteStateChanged,
    WaitingForSites,
)

SITES = ("a", "b")
PLACES = (("statistics", 1), ("training", 1), ("training", 2), ("training", 3))
DOWN = timedelta(hours=10)
"""Between two processes of a run; each of its own events comes a second after the last."""


@dataclass
class MadeLog:
    """A log as it is on disk, and the events of it that no resume has made void.

    at_checkpoint   for each checkpoint that counts: events in `valid` up to it, places done, and
                    whether the held-out site was scored after the last of them
    """

    names_checkpoints: bool
    clock: datetime = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
    events: list[RunEvent] = field(default_factory=list)
    valid: list[RunEvent] = field(default_factory=list)
    at_checkpoint: list[tuple[int, int, bool]] = field(default_factory=list)
    training_round: int = 0

    def add(self, event: RunEvent) -> None:
        """Takes the next event of a process; a second has gone by."""
        self.clock += timedelta(seconds=1)
        stamped = event.model_copy(update={"time": self.clock})
        self.events.append(stamped)
        if not isinstance(event, RunResumed):
            self.valid.append(stamped)

    def resume(self, *, damaged: int) -> None:
        """Goes back to a checkpoint: the last, or where it is damaged the one before."""
        self.clock += DOWN
        kept = max(0, len(self.at_checkpoint) - damaged)
        self.at_checkpoint = self.at_checkpoint[:kept]
        n_valid, n_places, _ = self.at_checkpoint[-1] if kept else (1, 0, False)
        self.valid = self.valid[:n_valid]
        saved = self.valid[-1]
        place = (saved.phase, saved.round) if isinstance(saved, CheckpointSaved) else ("", 0)
        self.training_round = max(0, n_places - 1)
        if self.names_checkpoints:
            self.add(RunResumed(phase=place[0], round=place[1], training_round=self.training_round))
        else:
            self.add(RunResumed())


def started() -> RunStarted:
    """The first event, with two training sites and an unseen one."""
    return RunStarted(
        run="r1",
        engine="deployment",
        recipe_name="default",
        recipe_sha256="0",
        code_digest="0",
        sites=(*(SiteRole(name=n, role="train") for n in SITES), SiteRole(name="d", role="unseen")),
    )


@st.composite
def logs(draw: st.DrawFn, *, older: bool = False) -> MadeLog:
    """A log with up to three resumes, each process cut after any of its events.

    older   the resumes do not name their checkpoint, and no checkpoint is damaged
    """
    log = MadeLog(names_checkpoints=not older)
    log.add(started())
    records_states = draw(st.booleans())
    for process in range(draw(st.integers(1, 4))):
        if process:
            log.resume(damaged=0 if older else draw(st.integers(0, 2)))
        n_events = draw(st.integers(0, 60))
        events = _process(draw, log, records_states=records_states)
        for _, event in zip(range(n_events), events, strict=False):
            log.add(event)
            if isinstance(event, CheckpointSaved):
                n_places, is_scored = log.at_checkpoint.pop()[1:]
                log.at_checkpoint.append((len(log.valid), n_places, is_scored))
            if isinstance(event, RunFinished):
                return log
        if draw(st.booleans()):
            log.add(RunFinished(status="stopped", reason="interrupted"))
    return log


def _process(draw: st.DrawFn, log: MadeLog, *, records_states: bool) -> Iterator[RunEvent]:
    """The events of one process, from the last checkpoint to the end of the run."""
    _, n_places, is_scored = log.at_checkpoint[-1] if log.at_checkpoint else (0, 0, False)
    while True:
        if n_places and not is_scored:
            index, is_scored = n_places - 1, True
            row = CaseRow(site="d", subject="sub-1", metrics={"dice": index / 4})
            yield Evaluated(site="d", role="unseen", method="network", round=index, cases=(row,))
            if index:
                yield RoundSelected(round=index, by="the last round")
            log.at_checkpoint.append((0, n_places, True))
            yield CheckpointSaved(phase="training", round=index, file=f"{index}-scored")
        if n_places == len(PLACES):
            yield RunFinished(status="completed")
            return
        phase, index = PLACES[n_places]
        yield from _round(draw, phase, index, records_states=records_states)
        n_places, is_scored = n_places + 1, False
        log.at_checkpoint.append((0, n_places, False))
        yield CheckpointSaved(phase=phase, round=index, file=f"{phase}-{index}")


def _round(draw: st.DrawFn, phase: str, index: int, *, records_states: bool) -> Iterator[RunEvent]:
    if draw(st.booleans()):
        until = datetime(2027, 1, 1, tzinfo=UTC)
        yield WaitingForSites(phase=phase, round=index, sites=("b",), until=until, have=1, need=2)
    yield RoundStarted(phase=phase, round=index, sites=SITES)
    n_replies = 0
    for site in SITES:
        fate = draw(st.sampled_from(("reply", "retry", "failed", "late")))
        if fate == "retry":
            yield SiteRetried(phase=phase, round=index, site=site, code="flower-1")
        if fate in ("reply", "retry"):
            n_replies += 1
            yield SiteReplied(phase=phase, round=index, site=site, wall_s=1.0, size_bytes=10)
            if records_states:
                yield SiteStateChanged(phase=phase, round=index, site=site, state="online")
        else:
            code = "deadline" if fate == "late" else "disk"
            yield SiteFailed(phase=phase, round=index, site=site, error="Oops", code=code)
            if records_states:
                yield SiteStateChanged(phase=phase, round=index, site=site, state="dropped")
        if fate == "late":
            yield LateReply(phase=phase, round=index, site=site, late_s=2.0)
    yield RoundFinished(phase=phase, round=index, wall_s=2.0, n_replies=n_replies)
