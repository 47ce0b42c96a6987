"""At the end of a run: the model on sites that took the role `evaluate`, which never train."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path

from common.wire.messages import ThresholdReply, ThresholdRequest
from server.events.event_log import EventLog
from server.events.schema import SiteEvaluation
from server.phases.threshold import model_threshold, selected_model, sums_of
from server.rounds.exchange import Exchange
from server.run.run_state import RunState


class SiteEvaluationPhase:
    """One exchange: each site's sums of Dice and lesion F1 over all its cases, told site by site.

    They are figures only, so no number of replies is needed: a late site does not cost the verdict.

    model_file   where the selected round's network is
    """

    name = "site-evaluation"
    n_rounds = 1

    def __init__(self, *, model_file: Path, events: EventLog) -> None:
        self._model_file = model_file
        self._events = events

    def begin(self, state: RunState) -> RunState:
        """The state as it is."""
        return state

    def is_judged(self, round_index: int) -> bool:
        """Never: the verdict comes after it."""
        return False

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """The state as it was; the figures are in an event `site-evaluation` for each site."""
        model = selected_model(self._model_file, state)
        thresholds = (model_threshold(model, state),)

        def fold(site: str, reply: ThresholdReply) -> Mapping[str, object]:
            sums = sums_of(site, reply, thresholds)
            dice, lesion_f1 = sums.means("dice"), sums.means("lesion_f1")
            self._events.record(
                SiteEvaluation(
                    site=site,
                    n_cases=sums.n_cases,
                    mean_dice=None if dice is None else dice[0],
                    mean_lesion_f1=None if lesion_f1 is None else lesion_f1[0],
                    threshold=thresholds[0],
                )
            )
            return {"n_cases": sums.n_cases}

        yield Exchange(
            request=lambda assignment: ThresholdRequest(
                assignment=assignment,
                template=model.template,
                parameters=dict(model.parameters),
                part="all",
                thresholds=thresholds,
            ),
            reply=ThresholdReply,
            fold=fold,
            roles=("evaluate",),
            quorum=0,
        )
        return state
