"""Third phase: federated averaging of the segmentation network and the site head."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping

from common.learning.model import initial_parameters
from common.recipe import Recipe
from common.wire.messages import SiteUpdate, TrainRequest
from server.aggregation.federated_averaging import moved, norm, weight_of
from server.rounds.exchange import Exchange
from server.rounds.fold import WeightedMean
from server.run_state import RunState


class TrainingPhase:
    """`federation.rounds` rounds of one exchange: parameters out, changes back, their mean."""

    name = "training"

    def __init__(self, recipe: Recipe, *, n_sites: int) -> None:
        self._recipe = recipe
        self._n_sites = n_sites

    @property
    def n_rounds(self) -> int:
        """As the recipe says."""
        return self._recipe.federation.rounds

    def begin(self, state: RunState) -> RunState:
        """The state with freshly drawn parameters, the same for every site."""
        parameters = initial_parameters(self._recipe, n_sites=self._n_sites)
        return dataclasses.replace(state, parameters=parameters)

    def is_judged(self, round_index: int) -> bool:
        """Before the first round, after every so many, and after the last."""
        return (
            round_index % self._recipe.federation.evaluate_every == 0
            or round_index == self.n_rounds
        )

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """The state with the parameters moved by the sites' weighted mean change."""
        mean = WeightedMean(state.parameters)
        weighting = self._recipe.federation.weighting

        def fold(site: str, update: SiteUpdate) -> Mapping[str, object]:
            mean.add(site, update.change, weight_of(update, weighting))
            facts = {
                field.name: getattr(update, field.name)
                for field in dataclasses.fields(update)
                if field.name != "change"
            }
            return facts | {"change_norm": norm(update.change)}

        yield Exchange(
            request=lambda assignment: TrainRequest(
                assignment=assignment, template=state.template, parameters=state.parameters
            ),
            reply=SiteUpdate,
            fold=fold,
            training_only=True,
        )
        return dataclasses.replace(state, parameters=moved(state.parameters, mean.result()))
