"""Training: the network and the site head go out, what the sites learned comes back as one."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from pathlib import Path

from common.learning.model import initial_parameters, new_network, trained_at_sites, width_of
from common.recipe.recipe import Recipe
from common.seeds import derived_seed
from common.wire.messages import (
    Assignment,
    FeatureSummary,
    HeadAnswers,
    SiteUpdate,
    Stage,
    TrainRequest,
)
from server.aggregation.apply_update import apply_update, change_norm
from server.aggregation.registry import AGGREGATIONS
from server.aggregation.site_weight import site_weight
from server.events.event_log import EventLog
from server.events.schema import HeadMeasured
from server.phases.head_spread import head_spread, require_answers
from server.phases.lesion_metric import resend_lesion_metric
from server.phases.site_features import head_after, known_features, require_summaries
from server.phases.site_validation import validate_at_sites
from server.phases.step_budget import step_seconds_after, steps_within
from server.rounds.phase import Exchange, Phase
from server.run.run_state import RunState


class TrainingPhase(Phase):
    """`federation.rounds` rounds of one exchange: parameters out, changes back, one aggregate.

    stage               whole: everything trains; first, second: one of a cascade's networks, the
                        other stays
    lesion_metric_file  where the lesion metric's network is, with that loss. It goes out again once
                        a run is resumed, and after each round in which a site did not train: one
                        that was absent when it first went out, or has lost it, can come back.

    With `federation.late_weight` an update that comes after its round counts in the one that is
    open, by that factor for each round between: its change was made from older parameters. Source:
    Xie et al. 2019, arXiv:1903.03934 (a weight that falls with staleness); the power of one factor,
    and the mean with the round's own updates, are chosen (docs/adr/0031).

    With `federation.step_budget` a slow site is asked for fewer steps (phases/step_budget.py), and
    its update counts by their share of the recipe's (chosen).

    Where the sites choose the round, one that is evaluated ends with an exchange of its own: see
    phases/site_validation.py.

    A site loss that needs the sites' feature summaries uses in each round those of the round before
    (phases/site_features.py). A site that has sent none in a round counts with its last one.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        n_sites: int,
        events: EventLog,
        stage: Stage = "whole",
        lesion_metric_file: Path | None = None,
    ) -> None:
        self._recipe = recipe
        self._n_sites = n_sites
        self._events = events
        self._stage = stage
        self._metric_file = lesion_metric_file
        self._all_have_trained = False
        self._n_features = width_of(new_network(recipe))
        self.name = "training" if stage == "whole" else f"training-{stage}"
        self.n_rounds = recipe.federation.rounds

    def begin(self, state: RunState) -> RunState:
        """The state with freshly drawn parameters, the same for every site.

        The second stage starts from the parameters of the first, and its round numbers continue;
        what the sites' features were to the first network says nothing of the second's.
        """
        self._all_have_trained = True  # none has failed to: the metric has only just gone out
        if self._stage == "second":
            rounds_before = self._recipe.federation.rounds
            return dataclasses.replace(state, rounds_before=rounds_before, features={})
        parameters = initial_parameters(self._recipe, n_sites=self._n_sites)
        return dataclasses.replace(state, parameters=parameters)

    def is_evaluated(self, round_index: int) -> bool:
        """Before the first round of a run, after every so many, and after the last."""
        if round_index == 0 and self._stage == "second":
            return False
        return (
            round_index % self._recipe.federation.evaluate_every == 0
            or round_index == self.n_rounds
        )

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """The state after the aggregate of the sites' changes is added to the parameters."""
        file, digest = self._metric_file, state.lesion_metric
        if not self._all_have_trained and file is not None and digest is not None:
            yield resend_lesion_metric(file, digest)
        wall_s: dict[str, float] = {}
        steps_asked: dict[str, int] = {}
        site_loss = self._recipe.loss.site
        trained = trained_at_sites(state.parameters, self._recipe)
        aggregate = AGGREGATIONS[self._recipe.federation.aggregation](trained)
        place_of: dict[str, int] = {}
        answers: dict[str, HeadAnswers] = {}
        features: dict[int, FeatureSummary] = {}
        weighting = self._recipe.federation.weighting
        all_steps = self._recipe.optimizer.steps

        def accumulate(site: str, update: SiteUpdate) -> Mapping[str, object]:
            self._require_sound(site, update, place_of)
            share = steps_asked.get(site, all_steps) / all_steps
            aggregate.accumulate(site, update.change, share * site_weight(update, weighting))
            wall_s[site] = update.wall_s
            features.update(update.features)
            if update.head_answers is not None:
                answers[site] = update.head_answers
            return facts_of(update)

        def accumulate_late(site: str, update: SiteUpdate, n_rounds: int) -> Mapping[str, object]:
            factor = self._recipe.federation.late_weight**n_rounds
            aggregate.accumulate(site, update.change, factor * site_weight(update, weighting))
            return facts_of(update) | {"factor": factor}

        def request(assignment: Assignment) -> TrainRequest:
            site = assignment.site
            place_of[site] = assignment.site_index
            steps_asked[site] = steps_within(state.step_seconds.get(site), self._recipe)
            return TrainRequest(
                assignment=assignment,
                template=state.template,
                parameters=state.parameters,
                stage=self._stage,
                lesion_metric=state.lesion_metric,
                steps=None if steps_asked[site] == all_steps else steps_asked[site],
                features=known_features(state.features, site_loss, site_index=place_of[site]),
            )

        yield Exchange(
            request=request,
            reply=SiteUpdate,
            accumulate=accumulate,
            accumulate_late=accumulate_late,
            roles=("train",),
        )
        self._all_have_trained = len(wall_s) == self._n_sites
        step_seconds = step_seconds_after(state.step_seconds, steps_asked, wall_s, self._recipe)
        parameters = state.parameters | apply_update(trained, aggregate.result())
        latest = dict(sorted((state.features | features).items()))
        index = state.round_index + 1
        seed = derived_seed(self._recipe.seed, "site-head", self.name, index)
        parameters |= head_after(parameters, latest, site_loss, n_sites=self._n_sites, seed=seed)
        if (spread := head_spread([answers[site] for site in sorted(answers)])) is not None:
            self._events.record(HeadMeasured(phase=self.name, round=index, head_spread_all=spread))
        state = dataclasses.replace(
            state,
            parameters=parameters,
            step_seconds=step_seconds,
            features=latest,
            site_validation=None,
        )
        selects = self._stage != "first"  # of a cascade's first network no round is selected
        if state.sites_choose_round and selects and self.is_evaluated(index):
            state = yield from validate_at_sites(state, self._recipe)
        return state

    def _require_sound(self, site: str, update: SiteUpdate, place_of: Mapping[str, int]) -> None:
        """UpdateRejected where what the update says of features and head cannot be.

        A site summarizes its own features, but for one that trains alone: there data of several
        sites may lie together.
        """
        require_answers(site, update.head_answers, n_sites=self._n_sites)
        if not update.features:
            return
        allowed = {place_of[site]} if len(place_of) > 1 else set(range(self._n_sites))
        if not self._recipe.loss.site.needs_summaries:
            allowed = set()
        require_summaries(site, update.features, allowed=allowed, n_features=self._n_features)


def facts_of(update: SiteUpdate) -> dict[str, object]:
    """What the event log says of an update: its numbers, the head's spread, the change's norm."""
    facts = {
        field.name: getattr(update, field.name)
        for field in dataclasses.fields(update)
        if field.name not in ("change", "features", "head_answers")
    }
    answers = [] if update.head_answers is None else [update.head_answers]
    norm = change_norm(update.change)
    return facts | {"head_spread": head_spread(answers), "change_norm": norm}
