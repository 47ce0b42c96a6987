"""After training: the decision threshold, from sums over cases that the training sites keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from pathlib import Path

from common.metrics.threshold_choice import SMALLEST_MM3, choose_of
from common.metrics.threshold_sweep import THRESHOLDS
from common.recipe.recipe import Recipe
from server.events.event_log import EventLog
from server.events.threshold_events import ThresholdChosen, ThresholdKept
from server.phases.threshold_sums import selected_model, sum_over_sites
from server.rounds.phase import Exchange, Phase
from server.run.run_state import RunState

NO_CASES = "no training site keeps a case from training, or as many subjects as its policy wants"
SPLIT = "cases that the training sites keep from training"


class ThresholdPhase(Phase):
    """One exchange: sums of Dice and of lesion F1 per threshold; the best mean is chosen.

    With `inference.smallest_from` = "sites", per smallest volume of a lesion and threshold.

    The network is that of the selected round. Only the model file has it, for the state continues
    with the last round's parameters; it is read when the round begins, so that a run cut off in
    this phase finds it again.
    """

    name = "threshold"

    def __init__(self, recipe: Recipe, *, model_file: Path, events: EventLog) -> None:
        self._recipe = recipe
        self._model_file = model_file
        self._events = events

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """The state with the choice in it; as it was where no site had a case to give."""
        model = selected_model(self._model_file, state)
        inference = self._recipe.inference
        smallest_mm3 = SMALLEST_MM3 if inference.smallest_from == "sites" else ()
        summed = yield from sum_over_sites(
            parameters=model.parameters,
            template=model.template,
            thresholds=THRESHOLDS,
            part="threshold",
            smallest_mm3=smallest_mm3,
            declared=state.declared,
        )
        choice = choose_of(summed.by_smallest, smallest_mm3, by=inference.threshold_by, split=SPLIT)
        if choice is None:
            threshold = model.recipe.inference.threshold
            self._events.record(ThresholdKept(threshold=threshold, reason=NO_CASES))
        else:
            self._events.record(ThresholdChosen(**dataclasses.asdict(choice)))
        return dataclasses.replace(state, threshold_choice=choice)
