"""After everything is chosen: the model on the cases that training sites kept for a test."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from server.events.event_log import EventLog
from server.events.schema import SiteTest
from server.phases.threshold_sums import means_of, selected_model, sum_over_sites
from server.rounds.phase import Exchange, Phase
from server.run.run_state import RunState


class SiteTestPhase(Phase):
    """One exchange: sums of Dice and of lesion F1 at the model's threshold, frozen before.

    They are figures only, so no number of replies is needed: a late site does not cost the verdict.

    model_file   where the selected round's network is
    """

    name = "site-test"

    def __init__(self, *, model_file: Path, events: EventLog) -> None:
        self._model_file = model_file
        self._events = events

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """The state as it was; the figures are in the event `site-test`."""
        model = selected_model(self._model_file, state)
        summed = yield from sum_over_sites(
            parameters=model.parameters,
            template=model.template,
            thresholds=(model.threshold,),
            part="test",
            smallest_mm3=() if model.smallest_mm3 is None else (model.smallest_mm3,),
            quorum=0,
            declared=state.declared,
        )
        total = summed.total
        mean_dice, mean_lesion_f1 = means_of(total)
        self._events.record(
            SiteTest(
                threshold=model.threshold,
                n_cases=total.n_cases,
                n_on_scanner_grid=summed.n_on_scanner_grid,
                n_dice=total.n_dice,
                n_lesion_f1=total.n_lesion_f1,
                mean_dice=mean_dice,
                mean_lesion_f1=mean_lesion_f1,
            )
        )
        return state
