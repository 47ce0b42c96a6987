"""One run from its folder to its report, whatever engine carries the messages."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flwr.serverapp import Grid

from common.errors import LesionFedError
from common.recipe import Recipe
from common.wire.code_digest import code_digest
from server.checkpoint import load_checkpoint, save_checkpoint
from server.events import Event, EventLog
from server.judge import Judge
from server.phases.baseline import BaselinePhase
from server.phases.statistics import StatisticsPhase
from server.phases.training import TrainingPhase
from server.report.render import write_report
from server.rounds.exchange import Correspondence, Exchange
from server.rounds.loop import Phase, run_phases
from server.run_folder import Consortium, RunFolder
from server.run_state import RunState

log = logging.getLogger(__name__)


def conduct(
    grid: Grid, folder: RunFolder, *, engine: str, listener: Callable[[Event], None] | None = None
) -> RunState:
    """The run's last state; the folder then holds the model, the scores and the report.

    grid       the sites, in whatever engine
    folder     laid out by `RunFolder.create`; a run that was cut off goes on from its checkpoint
    listener   called with each event, such as a progress display
    Every end is recorded as `completed`, `stopped` or `failed` with its reason, then raised on.
    """
    recipe, consortium = folder.recipe(), folder.consortium()
    started = "run-resumed" if folder.events_file.exists() else "run-started"
    events = EventLog(folder.events_file, listener)
    state = load_checkpoint(folder.checkpoints) or RunState()
    events.record(started, **_facts(recipe, consortium, engine))
    correspondence = Correspondence(grid, consortium=consortium, recipe=recipe, events=events)
    judge = Judge(folder, recipe=recipe, consortium=consortium, events=events)

    def hold(exchange: Exchange, phase: str, round_index: int) -> None:
        correspondence.hold(exchange, phase=phase, round_index=round_index)

    def save(state: RunState) -> None:
        path = save_checkpoint(folder.checkpoints, state)
        events.record("checkpoint", phase=state.phase, round=state.round_index, file=path.name)

    try:
        phases = phases_of(recipe, consortium, events)
        state = run_phases(phases, state, hold=hold, judge=judge.after_round, save=save)
        judge.verdict()
    except KeyboardInterrupt:
        _end(folder, events, "stopped", "interrupted at the coordinator")
        raise
    except LesionFedError as error:
        _end(folder, events, "failed", str(error))
        raise
    except Exception as error:
        _end(folder, events, "failed", f"an error of the program: {type(error).__name__}: {error}")
        raise
    _end(folder, events, "completed", None)
    return state


def phases_of(recipe: Recipe, consortium: Consortium, events: EventLog) -> list[Phase]:
    """What a run of this recipe consists of, in order."""
    n_sites = sum(site.trains for site in consortium.sites)
    return [
        StatisticsPhase(recipe, events),
        BaselinePhase(recipe, events),
        TrainingPhase(recipe, n_sites=n_sites),
    ]


def _facts(recipe: Recipe, consortium: Consortium, engine: str) -> dict[str, object]:
    sites = [
        {"name": site.name, "role": role}
        for role, group in (
            ("train", [site for site in consortium.sites if site.trains]),
            ("statistics", [site for site in consortium.sites if not site.trains]),
            ("validation", consortium.validation),
            ("unseen", consortium.unseen),
        )
        for site in group
    ]
    return {
        "run": consortium.run,
        "engine": engine,
        "recipe_name": recipe.name,
        "recipe_sha256": recipe.sha256(),
        "code_digest": code_digest(),
        "sites": sites,
    }


def _end(folder: RunFolder, events: EventLog, status: str, reason: str | None) -> None:
    events.record("run-finished", status=status, reason=reason)
    write_report(folder.path)
