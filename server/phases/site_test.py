"""After everything is chosen: the model on the cases that training sites kept for a test."""

from __future__ import annotations

import functools
import operator
from collections.abc import Generator, Mapping
from pathlib import Path

from common.metrics.threshold_choice import ThresholdSums
from common.wire.messages import ThresholdReply, ThresholdRequest
from server.events.event_log import EventLog
from server.events.schema import SiteTest
from server.phases.threshold import model_threshold, selected_model, sums_of
from server.rounds.exchange import Exchange
from server.run.run_state import RunState


class SiteTestPhase:
    """One exchange: sums of Dice and of lesion F1 at the model's threshold, frozen before.

    They are figures only, so no number of replies is needed: a late site does not cost the verdict.

    model_file   where the selected round's network is
    """

    name = "site-test"
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
        """The state as it was; the figures are in the event `site-test`."""
        model = selected_model(self._model_file, state)
        thresholds = (model_threshold(model, state),)
        sums: dict[str, ThresholdSums] = {}

        def fold(site: str, reply: ThresholdReply) -> Mapping[str, object]:
            sums[site] = sums_of(site, reply, thresholds)
            return {"n_cases": reply.n_cases}

        yield Exchange(
            request=lambda assignment: ThresholdRequest(
                assignment=assignment,
                template=model.template,
                parameters=dict(model.parameters),
                part="test",
                thresholds=thresholds,
            ),
            reply=ThresholdReply,
            fold=fold,
            roles=("train",),
            quorum=0,
        )
        total = functools.reduce(
            operator.add, [sums[site] for site in sorted(sums)], ThresholdSums.none(thresholds)
        )
        dice, lesion_f1 = total.means("dice"), total.means("lesion_f1")
        self._events.record(
            SiteTest(
                threshold=thresholds[0],
                n_cases=total.n_cases,
                n_dice=total.n_dice,
                n_lesion_f1=total.n_lesion_f1,
                mean_dice=None if dice is None else dice[0],
                mean_lesion_f1=None if lesion_f1 is None else lesion_f1[0],
            )
        )
        return state
