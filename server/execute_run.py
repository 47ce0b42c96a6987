"""One run from its folder to its report, with whatever engine."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flwr.serverapp import Grid

from common.code_digest import code_digest
from common.errors import LesionFedError, RunStopped, system_error_text
from common.membership.site import Role
from common.model_file import read_model, write_model
from common.recipe.recipe import Recipe
from server.central_evaluation import CentralEvaluation
from server.events import schema
from server.events.event_log import EventLog
from server.events.run_event import RunEvent
from server.events.same_run import require_same_run
from server.phases.phase_list import phases_of
from server.report.render import write_report
from server.rounds.exchange import Communicator
from server.rounds.loop import run_phases
from server.rounds.sealer import Sealer, requests_key_of
from server.run.checkpoint import load_checkpoint, save_checkpoint
from server.run.leakage import require_apart_still
from server.run.run_folder import Consortium, RunFolder
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
    listener: Callable[[RunEvent], None] | None = None,
) -> RunState:
    """The run's last state; the folder then holds the model, the scores and the report.

    grid       the sites, in whatever engine
    folder     laid out by `RunFolder.create`; a run that was cut off continues from its checkpoint
    images     whether held-out cases are drawn, and the report holds the pictures
    listener   called with each event, such as a progress display
    Every end is recorded as `completed`, `stopped` or `failed`; an error is then raised again.
    RunFolderError, and nothing is recorded, where another process executes the run, or where the
    recipe or the code is not that of the run's start: the folder stays as it was. So it does with
    ConfigError, where files have changed and two parts of the run now share a subject or an image.
    """
    with folder.locked():
        recipe, consortium = folder.recipe(), folder.consortium()  # without them there is no run
        has_started = require_same_run(folder)
        require_apart_still(folder)
        events = EventLog(folder.events_file, listener)
        facts = _facts(recipe, consortium, engine)
        try:
            state = _start_or_resume(
                grid, folder, facts, events, has_started=has_started, images=images
            )
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            status, reason = _status_and_reason(error)
            _finish(folder, events, status, reason, images=images)
            if isinstance(error, RunStopped):  # it has been obeyed: the run can be resumed
                folder.stop_file.unlink(missing_ok=True)
            raise
        _finish(folder, events, "completed", None, images=images)
        return state


def _status_and_reason(error: BaseException) -> tuple[schema.RunEnd, str]:
    """How a run ends that ends with this error."""
    match error:
        case KeyboardInterrupt() | SystemExit():
            return "stopped", "interrupted at the coordinator"
        case RunStopped():
            return "stopped", str(error)
        case LesionFedError():
            return "failed", str(error)
        case OSError():
            return "failed", f"{system_error_text(error)} Then resume."
    return "failed", f"an error of the program: {type(error).__name__}: {error}"


def _start_or_resume(
    grid: Grid,
    folder: RunFolder,
    facts: dict[str, Any],
    events: EventLog,
    *,
    has_started: bool,
    images: bool,
) -> RunState:
    recipe, consortium = folder.recipe(), folder.consortium()
    damaged: list[Path] = []
    state = load_checkpoint(folder.checkpoints, on_damaged=damaged.append) or RunState()
    if has_started:
        # the last round that counts: events of later ones are void
        last: dict[str, Any] = {"phase": state.phase, "round": state.round_index}
        events.record(schema.RunResumed(**facts, **last, training_round=state.training_round))
    else:
        events.record(schema.RunStarted(**facts))
    for path in damaged:
        events.record(schema.CheckpointDamaged(file=path.name))

    def require_running() -> None:
        if folder.stop_file.exists():
            raise RunStopped("the coordinator asked the run to stop; resume it to continue")

    communicator = Communicator(
        grid,
        sealer=Sealer(sitting=folder.begin_sitting(), key=requests_key_of(consortium)),
        consortium=consortium,
        recipe=recipe,
        events=events,
        records=state.sites,
        turn_s=None if facts["engine"] == "inline" else TURN_S,
        require_running=require_running,
    )
    evaluation = CentralEvaluation(folder, recipe=recipe, consortium=consortium, events=events)

    def save(state: RunState) -> None:
        with_sites = dataclasses.replace(state, sites=communicator.records)
        path = save_checkpoint(folder.checkpoints, with_sites)
        events.record(
            schema.CheckpointSaved(phase=state.phase, round=state.round_index, file=path.name)
        )

    state = run_phases(
        phases_of(recipe, consortium, events, folder=folder),
        state,
        run_exchange=communicator.run_exchange,
        evaluate=evaluation.evaluate_held_out,
        save=save,
    )
    if state.threshold_choice is not None:  # written again where a run is cut off after this
        model = read_model(folder.model_file)
        write_model(model.with_choice(state.threshold_choice), folder.model_file)
    evaluation.evaluate_selected_model(state, images=images)
    return dataclasses.replace(state, sites=communicator.records)


def _facts(recipe: Recipe, consortium: Consortium, engine: str) -> dict[str, Any]:
    roles: tuple[Role, ...] = ("train", "statistics", "evaluate")
    by_role = sorted(consortium.sites, key=lambda site: roles.index(site.role))
    sites = [{"name": site.name, "role": site.role} for site in by_role]
    held_out = (("validation", consortium.validation), ("unseen", consortium.unseen))
    sites += [{"name": site.name, "role": role} for role, group in held_out for site in group]
    return {
        "run": consortium.run,
        "engine": engine,
        "recipe_name": recipe.name,
        "recipe_sha256": recipe.sha256(),
        "code_digest": code_digest(),
        "sites": sites,
        "labels_are_local": consortium.labels_are_local,
    }


def _finish(
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
