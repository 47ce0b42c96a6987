"""At the end of a run: the model on sites that took the role `evaluate`, which never train."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from common.metrics.threshold_choice import ThresholdSums
from server.events.event_log import EventLog
from server.events.schema import SiteEvaluation
from server.phases.threshold_sums import means_of, selected_model, sum_over_sites
from server.rounds.phase import Exchange, Phase
from server.run.run_state import RunState


class SiteEvaluationPhase(Phase):
    """One exchange: each site's sums of Dice and lesion F1 over all its cases, shown site by site.

    They are figures only, so no number of replies is needed: a late site does not cost the verdict.

    model_file   where the selected round's network is
    """

    name = "site-evaluation"

    def __init__(self, *, model_file: Path, events: EventLog) -> None:
        self._model_file = model_file
        self._events = events

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """The state as it was; the figures are in an event `site-evaluation` for each site."""
        model = selected_model(self._model_file, state)

        def record(site: str, sums: ThresholdSums, n_on_scanner_grid: int) -> None:
            mean_dice, mean_lesion_f1 = means_of(sums)
            self._events.record(
                SiteEvaluation(
                    site=site,
                    n_cases=sums.n_cases,
                    n_on_scanner_grid=n_on_scanner_grid,
                    mean_dice=mean_dice,
                    mean_lesion_f1=mean_lesion_f1,
                    threshold=model.threshold,
                )
            )

        yield from sum_over_sites(
            parameters=model.parameters,
            template=model.template,
            thresholds=(model.threshold,),
            part="all",
            declared=state.declared,
            smallest_mm3=() if model.smallest_mm3 is None else (model.smallest_mm3,),
            role="evaluate",
            quorum=0,
            on_sums=record,
        )
        return state
