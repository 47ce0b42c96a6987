"""One run from its folder to its report, whatever engine carries the messages."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flwr.serverapp import Grid

from common.code_digest import code_digest
from common.errors import LesionFedError, RunFolderError, RunStopped
from common.model_file import read_model, write_model
from common.recipe.recipe import Recipe
from server.central_evaluation import CentralEvaluation
from server.events import schema
from server.events.event_log import EventLog, read_events
from server.federation.message_size import require_fits
from server.phases.baseline import BaselinePhase
from server.phases.lesion_metric import LesionMetricPhase
from server.phases.mining import MiningPhase
from server.phases.site_evaluation import SiteEvaluationPhase
from server.phases.site_test import SiteTestPhase
from server.phases.statistics import StatisticsPhase
from server.phases.threshold import ThresholdPhase
from server.phases.training import TrainingPhase
from server.report.render import write_report
from server.rounds.exchange import Communicator, Exchange
from server.rounds.loop import Phase, run_phases
from server.run.checkpoint import load_checkpoint, save_checkpoint
from server.run.run_folder import Consortium, Role, RunFolder
from server.run.run_state import RunState

log = logging.getLogger(__name__)

TURN_S = 5.0
"""How long one call over the network may keep the other sites' answers waiting."""


def execute_run(
    grid: Grid,
    folder: RunFolder,
    *,
    engine: str,
    images: bool = True,
    listener: Callable[[schema.RunEvent], None] | None = None,
) -> RunState:
    """The run's last state; the folder then holds the model, the scores and the report.

    grid       the sites, in whatever engine
    folder     laid out by `RunFolder.create`; a run that was cut off goes on from its checkpoint
    images     whether held-out cases are drawn, and the report holds the pictures
    listener   called with each event, such as a progress display
    Every end is recorded as `completed`, `stopped` or `failed` with its reason, then raised on.
    RunFolderError, and nothing is recorded, where another process conducts the run.
    """
    with folder.locked():
        return _execute(grid, folder, engine=engine, images=images, listener=listener)


def _execute(
    grid: Grid,
    folder: RunFolder,
    *,
    engine: str,
    images: bool,
    listener: Callable[[schema.RunEvent], None] | None,
) -> RunState:
    recipe, consortium = folder.recipe(), folder.consortium()  # without them there is no run
    events = EventLog(folder.events_file, listener)
    facts = _facts(recipe, consortium, engine)
    try:
        state = _go_on(
            grid, folder, recipe, consortium, facts, events, engine=engine, images=images
        )
    except (KeyboardInterrupt, SystemExit):
        _end(folder, events, "stopped", "interrupted at the coordinator", images=images)
        raise
    except RunStopped as stop:
        _end(folder, events, "stopped", str(stop), images=images)
        folder.stop_file.unlink(missing_ok=True)  # it has been heard: the run can be resumed
        raise
    except LesionFedError as error:
        _end(folder, events, "failed", str(error), images=images)
        raise
    except OSError as error:
        reason = (
            f"{error.filename}: {error.strerror}. Free space there, or let us write; then resume."
        )
        _end(folder, events, "failed", reason, images=images)
        raise
    except Exception as error:
        reason = f"an error of the program: {type(error).__name__}: {error}"
        _end(folder, events, "failed", reason, images=images)
        raise
    _end(folder, events, "completed", None, images=images)
    return state


def _go_on(
    grid: Grid,
    folder: RunFolder,
    recipe: Recipe,
    consortium: Consortium,
    facts: dict[str, Any],
    events: EventLog,
    *,
    engine: str,
    images: bool,
) -> RunState:
    events_before = read_events(folder.events_file)
    earlier = next((e for e in events_before if isinstance(e, schema.RunStarted)), None)
    if earlier is not None:
        _require_the_same_run(folder, earlier, facts)
    damaged: list[Path] = []
    state = load_checkpoint(folder.checkpoints, on_damaged=damaged.append) or RunState()
    if earlier is None:
        events.record(schema.RunStarted(**facts))
    else:
        events.record(schema.RunResumed(**facts, **_goes_on_from(state)))
    for path in damaged:
        events.record(schema.CheckpointDamaged(file=path.name))

    if consortium.largest_message_mb is not None:
        require_fits(recipe, largest_message_mb=consortium.largest_message_mb)

    def require_not_stopped() -> None:
        if folder.stop_file.exists():
            raise RunStopped("the coordinator asked the run to stop; resume it to go on")

    correspondence = Communicator(
        grid,
        consortium=consortium,
        recipe=recipe,
        events=events,
        records=state.sites,
        turn_s=None if engine == "inline" else TURN_S,
        look_up=require_not_stopped,
    )
    judge = CentralEvaluation(folder, recipe=recipe, consortium=consortium, events=events)

    def hold(exchange: Exchange, phase: str, round_index: int) -> None:
        require_not_stopped()
        correspondence.hold(exchange, phase=phase, round_index=round_index)

    def save(state: RunState) -> None:
        with_sites = dataclasses.replace(state, sites=correspondence.records)
        path = save_checkpoint(folder.checkpoints, with_sites)
        events.record(
            schema.CheckpointSaved(phase=state.phase, round=state.round_index, file=path.name)
        )

    phases = phases_of(recipe, consortium, events, folder=folder)
    state = run_phases(phases, state, hold=hold, judge=judge.after_round, save=save)
    if state.threshold_choice is not None:  # the same again where a run was cut off hereafter
        model = read_model(folder.model_file)
        write_model(model.with_choice(state.threshold_choice), folder.model_file)
    judge.verdict(state, images=images)
    return dataclasses.replace(state, sites=correspondence.records)


def _goes_on_from(state: RunState) -> dict[str, Any]:
    """The last round that counts: what a reader has heard of later ones is void."""
    return {
        "phase": state.phase,
        "round": state.round_index,
        "training_round": state.training_round,
    }


def _require_the_same_run(
    folder: RunFolder, earlier: schema.RunStarted, facts: Mapping[str, object]
) -> None:
    """Nothing, or RunFolderError where the recipe or the code is not that of the run's start."""
    for key, what in (("recipe_sha256", "recipe.toml"), ("code_digest", "LesionFed's own code")):
        if getattr(earlier, key) != facts[key]:
            raise RunFolderError(
                f"{folder.path}: {what} has changed since this run started, so going on would mix "
                "two experiments. Put it back as it was, or start a new run with another --out."
            )


def phases_of(
    recipe: Recipe, consortium: Consortium, events: EventLog, *, folder: RunFolder
) -> list[Phase]:
    """What a run of this recipe consists of, in order.

    folder   where the selected round's network, and the lesion metric's, will be
    """
    n_sites = sum(site.trains for site in consortium.sites)
    model_file = folder.model_file
    phases: list[Phase] = [StatisticsPhase(recipe, events), BaselinePhase(recipe, events)]
    if recipe.loss.lesion_wise is not None:
        file, masks = folder.lesion_metric_file, consortium.lesion_masks
        phases.append(LesionMetricPhase(recipe, file=file, masks=masks, events=events))
    if recipe.network.name == "cascade":
        phases.append(TrainingPhase(recipe, n_sites=n_sites, stage="first"))
        phases.append(MiningPhase())
        phases.append(TrainingPhase(recipe, n_sites=n_sites, stage="second"))
    else:
        metric_file = folder.lesion_metric_file
        phases.append(TrainingPhase(recipe, n_sites=n_sites, lesion_metric_file=metric_file))
    if recipe.inference.threshold_from == "sites":
        phases.append(ThresholdPhase(recipe, model_file=model_file, events=events))
    if recipe.federation.site_test_share > 0:
        phases.append(SiteTestPhase(model_file=model_file, events=events))
    if any(site.role == "evaluate" for site in consortium.sites):
        phases.append(SiteEvaluationPhase(model_file=model_file, events=events))
    return phases


def _facts(recipe: Recipe, consortium: Consortium, engine: str) -> dict[str, Any]:
    roles: tuple[Role, ...] = ("train", "statistics", "evaluate")
    sites = [
        {"name": site.name, "role": role}
        for role in roles
        for site in consortium.sites
        if site.role == role
    ]
    held_out = (("validation", consortium.validation), ("unseen", consortium.unseen))
    sites += [{"name": site.name, "role": role} for role, group in held_out for site in group]
    return {
        "run": consortium.run,
        "engine": engine,
        "recipe_name": recipe.name,
        "recipe_sha256": recipe.sha256(),
        "code_digest": code_digest(),
        "sites": sites,
    }


def _end(
    folder: RunFolder, events: EventLog, status: schema.RunEnd, reason: str | None, *, images: bool
) -> None:
    try:
        events.record(schema.RunFinished(status=status, reason=reason))
    except OSError:  # a full disk must not hide why the run ended
        log.exception("the run ended as %s (%s), and that could not be written", status, reason)
    try:
        write_report(folder.path, images=images)
    except Exception:  # a report that fails must not hide how the run ended
        log.exception("%s: the report could not be written", folder.path)
