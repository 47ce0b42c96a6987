"""After training: the decision threshold, from sums over cases that the training sites keep."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Generator, Mapping
from pathlib import Path

from common.errors import RunFolderError, UpdateRejected
from common.metrics.threshold_choice import ThresholdSums, choose
from common.metrics.threshold_sweep import THRESHOLDS
from common.model_file import Model, read_model
from common.recipe.recipe import Recipe
from common.wire.messages import ThresholdReply, ThresholdRequest
from server.events.event_log import EventLog
from server.events.schema import ThresholdChosen, ThresholdKept
from server.rounds.exchange import Exchange
from server.run.run_state import RunState

SPLIT = "cases that the training sites keep from training"


class ThresholdPhase:
    """One exchange: sums of Dice and of lesion F1 per threshold; the best mean is chosen.

    The network is that of the selected round. Only the model file has it, for the state goes on
    with the last round's parameters; it is read when the round begins, so that a run cut off in
    this phase finds it again.
    """

    name = "threshold"
    n_rounds = 1

    def __init__(self, recipe: Recipe, *, model_file: Path, events: EventLog) -> None:
        self._recipe = recipe
        self._model_file = model_file
        self._events = events

    def begin(self, state: RunState) -> RunState:
        """The state as it is."""
        return state

    def is_judged(self, round_index: int) -> bool:
        """Never: the verdict comes after it."""
        return False

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """The state with the choice in it; as it was where no site had a case to give."""
        model = selected_model(self._model_file, state)
        sums: dict[str, ThresholdSums] = {}

        def fold(site: str, reply: ThresholdReply) -> Mapping[str, object]:
            sums[site] = sums_of(site, reply, THRESHOLDS)
            return {"n_cases": reply.n_cases}

        yield Exchange(
            request=lambda assignment: ThresholdRequest(
                assignment=assignment,
                template=model.template,
                parameters=dict(model.parameters),
                part="threshold",
                thresholds=THRESHOLDS,
            ),
            reply=ThresholdReply,
            fold=fold,
            roles=("train",),
        )
        total = functools.reduce(
            operator.add, [sums[site] for site in sorted(sums)], ThresholdSums.none()
        )
        choice = choose(total, by=self._recipe.inference.threshold_by, split=SPLIT)
        if choice is None:
            reason = (
                "no training site keeps a case from training, or as many subjects as its policy "
                "wants"
            )
            threshold = model.recipe.inference.threshold
            self._events.record(ThresholdKept(threshold=threshold, reason=reason))
        else:
            self._events.record(ThresholdChosen(**dataclasses.asdict(choice)))
        return dataclasses.replace(state, threshold_choice=choice)


def selected_model(model_file: Path, state: RunState) -> Model:
    """The selected round's model; RunFolderError where the file holds another."""
    model = read_model(model_file)
    wanted = None if state.selected is None else state.selected.round_index
    if model.round_index != wanted:
        raise RunFolderError(
            f"{model_file}: want the selected round {wanted}, found round "
            f"{model.round_index}. Was the file replaced? Start the run anew in another folder."
        )
    return model


def model_threshold(model: Model, state: RunState) -> float:
    """The threshold at which the model is judged: the one just chosen, else the model's own.

    The model file takes the choice in only when all phases are over.
    """
    choice = state.threshold_choice
    return model.threshold if choice is None else choice.threshold


def sums_of(site: str, reply: ThresholdReply, thresholds: tuple[float, ...]) -> ThresholdSums:
    """The site's sums; UpdateRejected where they cannot be sums over so many cases."""
    try:
        return ThresholdSums(
            thresholds=thresholds,
            dice=reply.dice_sums,
            lesion_f1=reply.lesion_f1_sums,
            n_dice=reply.n_dice,
            n_lesion_f1=reply.n_lesion_f1,
            n_cases=reply.n_cases,
        )
    except ValueError as error:
        raise UpdateRejected(f"site {site}: {error}") from None
