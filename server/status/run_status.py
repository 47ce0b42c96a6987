"""How a run stands at one moment, from its folder alone."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from common.recipe.recipe import Recipe
from server.events.history import TRAINING_PHASES, VALIDATION, RunHistory, read_history
from server.events.schema import CheckpointSaved
from server.events.site_history import SiteHistory
from server.notify.notice import n_undelivered
from server.run.run_folder import RunFolder

RunCondition = Literal[
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
                     run did not end and no process executes it
    reason           why it ended as it did, in the coordinator's own words; they may hold paths
    to_do            what the coordinator can do now; None where nothing is called for
    warning          on lines of events.jsonl that could not be read; None where all could
    phase, round     the one under way or closed last; `n_rounds` of this phase in all
    since            when that round began
    n_asked          sites asked in that round; `n_answered` of them usefully by now
    waits_for        sites whose answer, or whose coming, the run waits for, `waits_until` at most
    n_trained        training rounds closed, of `n_training` in all phases
    n_void_rounds    rounds that count no more: a resume went back behind them
    median_round_s   of the training rounds, from start to last checkpoint; None before the first
    eta_s            training rounds left times that median: rough; None unless it continues
    received_bytes   of all usable answers
    n_undelivered    notices that could not be sent
    """

    run: str
    status: RunCondition
    reason: str | None
    to_do: str | None
    warning: str | None
    engine: str | None
    started: datetime | None
    last_event: datetime | None
    n_resumed: int
    n_void_rounds: int
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
    checkpoint: CheckpointSaved | None
    damaged_checkpoints: tuple[str, ...]
    n_undelivered: int
    sites: tuple[SiteHistory, ...]


def quiet_limit_s(recipe: Recipe) -> float:
    """Seconds without any event after which a run is called stalled."""
    federation = recipe.federation
    return max(federation.round_deadline_s, federation.wait_for_sites_s) + QUIET_SLACK_S


def run_status(folder: RunFolder, *, now: datetime) -> RunStatus:
    """How the run in `folder` stands; RunFolderError where there is none.

    now   with its time zone
    """
    recipe = folder.recipe()
    history = read_history(folder.events_file)
    start, ended, current = history.start, history.finished, history.current
    name = folder.path.resolve().name  # a folder that was copied or renamed is a run of its own
    limit = timedelta(seconds=quiet_limit_s(recipe))
    status = _condition(history, executing=folder.is_executing(), limit=limit, now=now)
    awaited, until = _awaited(history, recipe)
    is_executed = status in ("running", "waiting", "stalled")
    trained = [r for r in history.training if r.finished is not None]
    walls_s = [r.wall_s for r in trained if r.wall_s is not None]
    median_s = statistics.median(walls_s) if walls_s else None
    continues = status in ("running", "waiting") and median_s is not None
    return RunStatus(
        run=name,
        status=status,
        reason=ended.reason if ended else None,
        to_do=_to_do(status, name, resume=_resume(history, folder, name)),
        warning=history.gap_warning,
        engine=start.engine if start else None,
        started=start.time if start else None,
        last_event=history.last_time,
        n_resumed=history.n_resumed,
        n_void_rounds=len(history.void_rounds),
        phase=current.phase if current else None,
        round=current.index if current else None,
        n_rounds=_n_rounds(current.phase, recipe) if current else None,
        since=current.started if current else None,
        n_asked=len(current.sites) if current else 0,
        n_answered=current.n_answered if current else 0,
        waits_for=awaited if is_executed else (),
        waits_until=until if is_executed else None,
        n_trained=len(trained),
        n_training=recipe.n_training_rounds,
        median_round_s=median_s,
        eta_s=(recipe.n_training_rounds - len(trained)) * (median_s or 0.0) if continues else None,
        received_bytes=sum(site.received_bytes for site in history.by_site.values()),
        checkpoint=history.checkpoint,
        damaged_checkpoints=tuple(history.damaged_checkpoints),
        n_undelivered=n_undelivered(folder.path),
        sites=tuple(history.by_site.values()),
    )


def json_value(value: datetime | CheckpointSaved) -> object:
    """What a status holds beside plain values, for `json.dumps(default=...)`."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value.model_dump(exclude={"event"})


def _condition(
    history: RunHistory, *, executing: bool, limit: timedelta, now: datetime
) -> RunCondition:
    if history.finished is not None:
        return history.finished.status
    if history.last_time is None:
        return "running" if executing else "not-started"
    if not executing:
        return "interrupted"
    quiet_until = history.last_time + limit
    if history.waiting is not None:
        quiet_until = max(quiet_until, history.waiting.until + timedelta(seconds=QUIET_SLACK_S))
    if now > quiet_until:
        return "stalled"
    return "waiting" if history.waiting is not None else "running"


def _awaited(history: RunHistory, recipe: Recipe) -> tuple[tuple[str, ...], datetime | None]:
    if history.waiting is not None:
        return history.waiting.sites, history.waiting.until
    current = history.current
    if current is not None and current.awaited and current.started is not None:
        return current.awaited, current.started + timedelta(
            seconds=recipe.federation.round_deadline_s
        )
    return (), None


def _n_rounds(phase: str, recipe: Recipe) -> int:
    return recipe.federation.rounds if phase in (*TRAINING_PHASES, VALIDATION) else 1


def _resume(history: RunHistory, folder: RunFolder, run: str) -> str:
    """The command that resumes the run, in the engine it began in."""
    if history.start is not None and history.start.engine == "inline":
        return f"`lesionfed simulate --resume {folder.path}`"
    return f"`lesionfed resume {run}`"


def _to_do(status: RunCondition, run: str, *, resume: str) -> str | None:
    match status:
        case "not-started":
            return (
                "Nothing was recorded yet. If this lasts, look whether `lesionfed serve` runs, "
                f"then `lesionfed logs {run}`."
            )
        case "waiting":
            return (
                "Ask the sites that are awaited to start their side (`lesionfed-site run`); the "
                "run continues by itself."
            )
        case "stalled":
            return f"Look into `lesionfed logs {run}`; then `lesionfed stop {run}` and {resume}."
        case "interrupted" | "stopped":
            return f"{resume} continues from the last checkpoint."
        case "failed":
            return f"Do what the reason says, then {resume}."
        case _:
            return None
