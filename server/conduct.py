"""One run from its folder to its report, whatever engine carries the messages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from flwr.serverapp import Grid

from common.errors import LesionFedError, RunFolderError
from common.model_file import read_model, write_model
from common.recipe import Recipe
from common.wire.code_digest import code_digest
from server.checkpoint import load_checkpoint, save_checkpoint
from server.events import Event, EventLog, first_event
from server.judge import Judge
from server.phases.baseline import BaselinePhase
from server.phases.lesion_metric import LesionMetricPhase
from server.phases.mining import MiningPhase
from server.phases.site_test import SiteTestPhase
from server.phases.statistics import StatisticsPhase
from server.phases.threshold import ThresholdPhase
from server.phases.training import TrainingPhase
from server.report.render import write_report
from server.rounds.exchange import Correspondence, Exchange
from server.rounds.loop import Phase, run_phases
from server.run_folder import Consortium, RunFolder
from server.run_state import RunState

log = logging.getLogger(__name__)


def conduct(
    grid: Grid,
    folder: RunFolder,
    *,
    engine: str,
    images: bool = True,
    listener: Callable[[Event], None] | None = None,
) -> RunState:
    """The run's last state; the folder then holds the model, the scores and the report.

    grid       the sites, in whatever engine
    folder     laid out by `RunFolder.create`; a run that was cut off goes on from its checkpoint
    images     whether held-out cases are drawn, and the report holds the pictures
    listener   called with each event, such as a progress display
    Every end is recorded as `completed`, `stopped` or `failed` with its reason, then raised on.
    """
    recipe, consortium = folder.recipe(), folder.consortium()  # without them there is no run
    events = EventLog(folder.events_file, listener)
    facts = _facts(recipe, consortium, engine)
    try:
        state = _go_on(grid, folder, recipe, consortium, facts, events, images=images)
    except (KeyboardInterrupt, SystemExit):
        _end(folder, events, "stopped", "interrupted at the coordinator", images=images)
        raise
    except LesionFedError as error:
        _end(folder, events, "failed", str(error), images=images)
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
    facts: dict[str, object],
    events: EventLog,
    *,
    images: bool,
) -> RunState:
    earlier = first_event(folder.events_file)
    if earlier is not None:
        _require_the_same_run(folder, earlier, facts)
    events.record("run-started" if earlier is None else "run-resumed", **facts)
    state = load_checkpoint(folder.checkpoints) or RunState()
    correspondence = Correspondence(grid, consortium=consortium, recipe=recipe, events=events)
    judge = Judge(folder, recipe=recipe, consortium=consortium, events=events)

    def hold(exchange: Exchange, phase: str, round_index: int) -> None:
        correspondence.hold(exchange, phase=phase, round_index=round_index)

    def save(state: RunState) -> None:
        path = save_checkpoint(folder.checkpoints, state)
        events.record("checkpoint", phase=state.phase, round=state.round_index, file=path.name)

    phases = phases_of(recipe, consortium, events, folder=folder)
    state = run_phases(phases, state, hold=hold, judge=judge.after_round, save=save)
    if state.threshold_choice is not None:  # the same again where a run was cut off hereafter
        model = read_model(folder.model_file)
        write_model(model.with_choice(state.threshold_choice), folder.model_file)
    judge.verdict(state, images=images)
    return state


def _require_the_same_run(
    folder: RunFolder, earlier: Mapping[str, object], facts: Mapping[str, object]
) -> None:
    """Nothing, or RunFolderError where the recipe or the code is not that of the run's start."""
    for key, what in (("recipe_sha256", "recipe.toml"), ("code_digest", "LesionFed's own code")):
        if earlier.get(key) != facts[key]:
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
    return phases


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


def _end(
    folder: RunFolder, events: EventLog, status: str, reason: str | None, *, images: bool
) -> None:
    events.record("run-finished", status=status, reason=reason)
    try:
        write_report(folder.path, images=images)
    except Exception:  # a report that fails must not hide how the run ended
        log.exception("%s: the report could not be written", folder.path)
