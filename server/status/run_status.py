"""How a run stands at one moment, from its folder alone."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from common.recipe.recipe import Recipe
from server.events.history import TRAINING_PHASES
from server.events.progress import CheckpointSoFar, RunSoFar, SiteSoFar, read_run_so_far
from server.notify.record import n_undelivered
from server.run.run_folder import RunFolder

Verdict = Literal[
    "not-started",
    "running",
    "waiting",
    "stalled",
    "completed",
    "stopped",
    "failed",
    "interrupted",
]

QUIET_SLACK_S = 120.0
"""Beyond the round's deadline: for scoring the held-out sites and for saving (chosen)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStatus:
    """How a run stands.

    status           stalled: nothing recorded for longer than a round may take; interrupted: the
                     run did not end and nobody conducts it
    reason           why it ended as it did, in the coordinator's own words; they may hold paths
    to_do            what the coordinator can do now; None where nothing is called for
    phase, round     the one under way or held last; `n_rounds` of this phase in all
    since            when that round began
    n_asked          sites asked in that round; `n_answered` of them usefully so far
    waits_for        sites whose answer, or whose coming, the run waits for, `waits_until` at most
    n_trained        training rounds closed, of `n_training` in all phases
    median_round_s   of the training rounds, from start to last checkpoint; None before the first
    eta_s            training rounds left times that median: rough; None unless it goes on
    received_bytes   of all usable answers
    n_undelivered    notices that could not be sent
    """

    run: str
    status: Verdict
    reason: str | None
    to_do: str | None
    engine: str | None
    started: datetime | None
    last_event: datetime | None
    n_resumed: int
    phase: str | None
    round: int | None
    n_rounds: int | None
    since: datetime | None
    n_asked: int
    n_answered: int
    waits_for: tuple[str, ...]
    waits_until: datetime | None
    n_trained: int
    n_training: int
    median_round_s: float | None
    eta_s: float | None
    received_bytes: int
    checkpoint: CheckpointSoFar | None
    damaged_checkpoints: tuple[str, ...]
    n_undelivered: int
    sites: tuple[SiteSoFar, ...]


def quiet_limit_s(recipe: Recipe) -> float:
    """Seconds without any event after which a run is called stalled."""
    federation = recipe.federation
    return max(federation.round_deadline_s, federation.wait_for_sites_s) + QUIET_SLACK_S


def run_status(folder: RunFolder, *, now: datetime) -> RunStatus:
    """How the run in `folder` stands; RunFolderError where there is none.

    now   with its time zone
    """
    recipe = folder.recipe()
    so_far = read_run_so_far(folder.events_file)
    name = so_far.run or folder.consortium().run
    limit = timedelta(seconds=quiet_limit_s(recipe))
    status = _verdict(so_far, conducted=folder.is_executing(), limit=limit, now=now)
    current = so_far.current
    waits_for, waits_until = _waits(so_far, recipe)
    trained = [r for r in so_far.rounds.values() if r.phase in TRAINING_PHASES]
    walls_s = [r.wall_s for r in trained if r.wall_s is not None]
    median_s = statistics.median(walls_s) if walls_s else None
    goes_on = status in ("running", "waiting") and median_s is not None
    return RunStatus(
        run=name,
        status=status,
        reason=so_far.ended[1] if so_far.ended else None,
        to_do=_to_do(status, name, resume=_resume(so_far, folder, name)),
        engine=so_far.engine,
        started=so_far.started,
        last_event=so_far.last_event,
        n_resumed=so_far.n_resumed,
        phase=current.phase if current else None,
        round=current.index if current else None,
        n_rounds=_n_rounds(current.phase, recipe) if current else None,
        since=current.started if current else None,
        n_asked=len(current.asked) if current else 0,
        n_answered=current.n_answered if current else 0,
        waits_for=waits_for if status in ("running", "waiting", "stalled") else (),
        waits_until=waits_until if status in ("running", "waiting", "stalled") else None,
        n_trained=len(walls_s),
        n_training=recipe.n_training_rounds,
        median_round_s=median_s,
        eta_s=(recipe.n_training_rounds - len(walls_s)) * (median_s or 0.0) if goes_on else None,
        received_bytes=sum(site.received_bytes for site in so_far.sites.values()),
        checkpoint=so_far.checkpoint,
        damaged_checkpoints=tuple(so_far.damaged_checkpoints),
        n_undelivered=n_undelivered(folder.path),
        sites=tuple(so_far.sites.values()),
    )


def _verdict(so_far: RunSoFar, *, conducted: bool, limit: timedelta, now: datetime) -> Verdict:
    match so_far.ended:
        case ("completed" | "stopped" | "failed" as status, _):
            return status
    if so_far.last_event is None:
        return "running" if conducted else "not-started"
    if not conducted:
        return "interrupted"
    quiet_until = so_far.last_event + limit
    if so_far.waiting is not None:
        quiet_until = max(quiet_until, so_far.waiting.until + timedelta(seconds=QUIET_SLACK_S))
    if now > quiet_until:
        return "stalled"
    return "waiting" if so_far.waiting is not None else "running"


def _waits(so_far: RunSoFar, recipe: Recipe) -> tuple[tuple[str, ...], datetime | None]:
    if so_far.waiting is not None:
        return so_far.waiting.sites, so_far.waiting.until
    if so_far.current is not None and so_far.current.open:
        deadline = timedelta(seconds=recipe.federation.round_deadline_s)
        return tuple(sorted(so_far.current.open)), so_far.current.started + deadline
    return (), None


def _n_rounds(phase: str, recipe: Recipe) -> int:
    return recipe.federation.rounds if phase in TRAINING_PHASES else 1


def _resume(so_far: RunSoFar, folder: RunFolder, run: str) -> str:
    """The command that goes on with the run, in the engine it began in."""
    if so_far.engine == "inline":
        return f"`lesionfed simulate --resume {folder.path}`"
    return f"`lesionfed resume {run}`"


def _to_do(status: Verdict, run: str, *, resume: str) -> str | None:
    match status:
        case "not-started":
            return (
                "Nothing was recorded yet. If this lasts, look whether `lesionfed serve` runs, "
                f"then `lesionfed logs {run}`."
            )
        case "waiting":
            return (
                "Ask the sites that are awaited to start their side (`lesionfed-site run`); the "
                "run goes on by itself."
            )
        case "stalled":
            return f"Look into `lesionfed logs {run}`; then `lesionfed stop {run}` and {resume}."
        case "interrupted" | "stopped":
            return f"{resume} goes on from the last checkpoint."
        case "failed":
            return f"Do what the reason says, then {resume}."
        case _:
            return None
