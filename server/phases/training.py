"""Training: the network and the site head go out, what the sites learned comes back as one."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from pathlib import Path

import numpy as np

from common.errors import UpdateRejected
from common.learning.control_variates import fresh_variates
from common.learning.model import (
    NETWORK,
    initial_parameters,
    new_network,
    trained_at_sites,
    width_of,
)
from common.learning.networks.parameters import norm_names
from common.learning.optimizer_state import fresh_state, impossible_values
from common.recipe.recipe import Recipe
from common.seeds import derived_seed
from common.wire.feature_summary import FeatureSummary, HeadAnswers
from common.wire.field_types import Arrays, Stage
from common.wire.messages import Assignment, SiteUpdate, TrainRequest
from server.aggregation.apply_update import apply_update, change_norm
from server.aggregation.bounded_updates import OPTIMIZER, VARIATES, BoundedUpdates
from server.aggregation.moving_average import moved_average
from server.aggregation.registry import AGGREGATIONS
from server.aggregation.server_optimizer import server_step
from server.aggregation.site_weight import declared_weight, site_weight
from server.events.event_log import EventLog
from server.events.schema import HeadMeasured
from server.events.site_limited import Limit, SiteLimited
from server.phases.head_spread import head_spread, require_answers
from server.phases.lesion_metric import resend_lesion_metric
from server.phases.site_features import head_after, known_features, require_summaries
from server.phases.site_validation import validate_at_sites
from server.phases.step_budget import own_steps, step_seconds_after, steps_within
from server.rounds.phase import Exchange, Phase
from server.run.run_state import RunState

ROUNDING = 1e-6
"""Share by which a sum of lesion volumes may be above that of the statistics, for floats."""


class TrainingPhase(Phase):
    """`federation.rounds` rounds of one exchange: parameters out, changes back, one aggregate.

    n_head_outputs      sites among which the head tells; None: those that train
    stage               whole: everything trains; first, second: one of a cascade's networks, the
                        other stays
    lesion_metric_file  where the lesion metric's network is, with that loss. It goes out again once
                        a run is resumed, and after each round in which a site did not train: one
                        that was absent when it first went out, or has lost it, can come back.

    With `federation.late_weight` an update that comes after its round counts in the one that is
    open, by that factor for each round between: its change was made from older parameters. Source:
    Xie et al. 2019, arXiv:1903.03934 (a weight that falls with staleness); the power of one factor,
    and the mean with the round's own updates, are chosen (docs/adr/0031).

    With `federation.server_optimizer` the mean change goes through the coordinator's own optimizer
    (aggregation/server_optimizer.py); with `norms` = "local" the norms' mean does not.

    With `federation.drift` = "scaffold" c goes out with the parameters, and c + |S| / N times the
    mean of the sites' changes of c_i is that of the next round, of |S| sites that answered among N.
    Source: Karimireddy et al. 2020, arXiv:1910.06378, algorithm 1.

    With `optimizer.state` = "averaged" the optimizers' states are averaged with the weights of the
    changes and go out with the parameters (docs/adr/0040).

    With `federation.step_budget` a slow site is asked for fewer steps (phases/step_budget.py), and
    its update counts by their share of its own (chosen). With `steps_are` = "whole-epoch" a site's
    own steps are its part of the recipe's, and its update counts by the weighting alone: steps and
    weight both in proportion to the cases, as in McMahan et al. 2017 (local epochs).

    With `federation.moving_average` the rounds' networks are averaged too, and that average is what
    is evaluated, selected and written; requests hold the parameters themselves (docs/adr/0044).

    Where the sites choose the round, one that is evaluated ends with an exchange of its own: see
    phases/site_validation.py.

    No site owns the mean: its weight is at most what it declared in the statistics and, of all that
    answered, `federation.largest_share`; its update is at most `federation.longest_update` times as
    long as the others'. What is over a bound counts as far as it, and is recorded (docs/adr/0049).

    A site loss that needs the sites' feature summaries uses in each round those of the round before
    (phases/site_features.py). A site that has sent none in a round counts with its last one.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        n_sites: int,
        events: EventLog,
        n_head_outputs: int | None = None,
        stage: Stage = "whole",
        lesion_metric_file: Path | None = None,
    ) -> None:
        self._recipe = recipe
        self._n_sites = n_sites
        self._events = events
        self._n_head_outputs = n_head_outputs or n_sites
        self._stage = stage
        self._metric_file = lesion_metric_file
        self._all_have_trained = False
        network = new_network(recipe)
        self._n_features = width_of(network)
        local = recipe.federation.norms == "local"
        self._norms = {NETWORK + name for name in norm_names(network)} if local else set()
        self.name = "training" if stage == "whole" else f"training-{stage}"
        self.n_rounds = recipe.federation.rounds

    def begin(self, state: RunState) -> RunState:
        """The state with freshly drawn parameters, the same for every site.

        The second stage starts from the parameters of the first, and its round numbers continue;
        what the sites' features were to the first network says nothing of the second's.
        """
        self._all_have_trained = True  # none has failed to: the metric has only just gone out
        if self._recipe.optimizer.state == "averaged":
            fresh = fresh_state(self._recipe, n_sites=self._n_head_outputs)
            state = dataclasses.replace(state, optimizer_state=fresh)
        if self._recipe.federation.drift == "scaffold":
            zeros = fresh_variates(self._recipe, n_sites=self._n_head_outputs)
            state = dataclasses.replace(state, variates=zeros)
        state = dataclasses.replace(state, server_state={}, validation_dice={}, update_norms={})
        if self._stage == "second":
            rounds_before = self._recipe.federation.rounds
            return dataclasses.replace(state, rounds_before=rounds_before, features={})
        parameters = initial_parameters(self._recipe, n_sites=self._n_head_outputs)
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
        settings = self._recipe.federation
        began = (
            trained
            | _prefixed(OPTIMIZER, state.optimizer_state)
            | _prefixed(VARIATES, state.variates)
        )
        aggregate = AGGREGATIONS[settings.aggregation](began, largest_share=settings.largest_share)
        updates = BoundedUpdates(
            aggregate, began=began, known=state.update_norms, factor=settings.longest_update
        )
        over_declared: dict[str, tuple[float, float]] = {}
        place_of: dict[str, int] = {}
        answers: dict[str, HeadAnswers] = {}
        features: dict[int, FeatureSummary] = {}
        shares: dict[str, float] = {}
        validation_dice: dict[str, float | None] = {}

        def add(site: str, update: SiteUpdate, factor: float) -> Mapping[str, object]:
            """Counts the update, by its factor, and returns its facts; all of it or nothing."""
            counts = site_weight(site, update, settings.weighting, state.validation_dice)
            most = declared_weight(site, settings.weighting, state.declared)
            is_over = most is not None and counts > most * (1 + ROUNDING)
            learned, facts = _learned(site, update), facts_of(update)
            bounded = most if most is not None and is_over else counts
            updates.accumulate(site, learned, factor * bounded)
            if is_over:
                over_declared[site] = (counts, bounded)
            return facts

        def accumulate(site: str, update: SiteUpdate) -> Mapping[str, object]:
            self._require_sound(site, update, place_of)
            facts = add(site, update, shares.get(site, 1.0))
            wall_s[site] = update.wall_s
            validation_dice[site] = update.validation_dice
            features.update(update.features)
            if update.head_answers is not None:
                answers[site] = update.head_answers
            return facts

        def accumulate_late(site: str, update: SiteUpdate, n_rounds: int) -> Mapping[str, object]:
            require_answers(site, update.head_answers, n_sites=self._n_head_outputs)
            factor = settings.late_weight**n_rounds
            return {**add(site, update, factor), "factor": factor}

        def request(assignment: Assignment) -> TrainRequest:
            site = assignment.site
            place_of[site] = assignment.site_index
            own = own_steps(site, state.training_cases, self._recipe)
            if own is not None:
                steps_asked[site] = steps_within(state.step_seconds.get(site), own, self._recipe)
                shares[site] = steps_asked[site] / own
            asked = steps_asked.get(site)
            return TrainRequest(
                assignment=assignment,
                template=state.template,
                parameters=state.parameters,
                stage=self._stage,
                lesion_metric=state.lesion_metric,
                optimizer_state=state.optimizer_state,
                variates=state.variates,
                steps=None if asked == self._recipe.optimizer.steps else asked,
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
        learned = updates.result()
        self._record_limited(state.round_index + 1, over_declared, aggregate.capped, updates)
        optimizer_state = {name: learned.pop(OPTIMIZER + name) for name in state.optimizer_state}
        mean_moves = {name: learned.pop(VARIATES + name) for name in state.variates}
        answered = len(wall_s) / self._n_sites
        variates = _variates_after(state.variates, mean_moves, answered=answered)
        change, server_state = server_step(
            learned,
            state.server_state,
            self._recipe.federation.server_optimizer,
            plain=self._norms.__contains__,
        )
        parameters = state.parameters | apply_update(trained, change)
        latest = dict(sorted((state.features | features).items()))
        index = state.round_index + 1
        seed = derived_seed(self._recipe.seed, "site-head", self.name, index)
        n_outputs = self._n_head_outputs
        parameters |= head_after(parameters, latest, site_loss, n_sites=n_outputs, seed=seed)
        if (spread := head_spread([answers[site] for site in sorted(answers)])) is not None:
            self._events.record(
                HeadMeasured(
                    phase=self.name, round=index, head_spread_all=spread, n_outputs=n_outputs
                )
            )
        state = dataclasses.replace(
            state,
            parameters=parameters,
            optimizer_state=optimizer_state,
            server_state=server_state,
            variates=variates,
            validation_dice=self._latest_dice(state.validation_dice, validation_dice),
            step_seconds=step_seconds,
            features=latest,
            update_norms=updates.known_after(state.update_norms),
            site_validation=None,
        )
        if past := self._recipe.federation.moving_average:
            network = {n: a for n, a in parameters.items() if n.startswith(NETWORK)}
            average = moved_average(state.average, network, past=past, round_index=index)
            state = dataclasses.replace(state, average=average)
        selects = self._stage != "first"  # of a cascade's first network no round is selected
        if state.sites_choose_round and selects and self.is_evaluated(index):
            state = yield from validate_at_sites(state, self._recipe)
        return state

    def _record_limited(
        self,
        round_index: int,
        over_declared: Mapping[str, tuple[float, float]],
        over_share: Mapping[str, tuple[float, float]],
        updates: BoundedUpdates,
    ) -> None:
        """An event for each bound that a site was over, by the names of the sites."""
        counted: Limit = "cases"
        if self._recipe.federation.weighting == "lesion-volume":
            counted = "lesion-volume"
        found: list[tuple[str, Limit, str, float, float]] = [
            *((site, counted, "", *both) for site, both in over_declared.items()),
            *((site, "share", "", *both) for site, both in over_share.items()),
            *((one.site, "length", one.kind, one.norm, one.allowed) for one in updates.shortened),
        ]
        for site, limit, kind, was, allowed in sorted(found):
            self._events.record(
                SiteLimited(
                    phase=self.name,
                    round=round_index,
                    site=site,
                    limit=limit,
                    kind=kind,
                    found=was,
                    allowed=allowed,
                )
            )

    def _latest_dice(
        self, before: Mapping[str, float], sent: Mapping[str, float | None]
    ) -> dict[str, float]:
        """Site -> its figure, with those sent in this round; one that sent none has none."""
        if self._recipe.federation.weighting != "validation":
            return {}
        latest = sorted({**before, **sent}.items())
        return {site: dice for site, dice in latest if dice is not None}

    def _require_sound(self, site: str, update: SiteUpdate, place_of: Mapping[str, int]) -> None:
        """UpdateRejected where what the update says of features and head cannot be.

        A site summarizes its own features, but for the only one that trains: there data of several
        sites may lie together. In a round at which others are absent a site is not that one.
        """
        require_answers(site, update.head_answers, n_sites=self._n_head_outputs)
        if not update.features:
            return
        allowed = {place_of[site]} if self._n_sites > 1 else set(range(self._n_head_outputs))
        if not self._recipe.loss.site.needs_summaries:
            allowed = set()
        require_summaries(site, update.features, allowed=allowed, n_features=self._n_features)


def _variates_after(variates: Arrays, mean_change: Arrays, *, answered: float) -> Arrays:
    """c + |S| / N times the mean change over the S sites that answered; UpdateRejected if infinite.

    answered   |S| / N, of the sites that train
    """
    after = {
        name: np.asarray(array + answered * mean_change[name], array.dtype)
        for name, array in variates.items()
    }
    if odd := sorted(name for name, array in after.items() if not np.isfinite(array).all()):
        raise UpdateRejected(
            f"the mean of the control variates is not finite in {odd[:5]}; this round is not kept"
        )
    return after


def _prefixed(prefix: str, arrays: Arrays) -> Arrays:
    """Under names that no parameter has."""
    return {prefix + name: array for name, array in arrays.items()}


def _learned(site: str, update: SiteUpdate) -> Arrays:
    """Change, optimizer state and variates, to be averaged alike; UpdateRejected for a wrong one.

    The change is a difference and the state is not: of differences a mean square could come out
    below 0.
    """
    if odd := sorted(name for name in update.change if name.startswith((OPTIMIZER, VARIATES))):
        raise UpdateRejected(
            f"site {site}: change: want parameters alone, got {odd[:5]}; optimizer state and "
            "control variates have fields of their own"
        )
    if (name := impossible_values(update.optimizer_state)) is not None:
        raise UpdateRejected(
            f"site {site}: optimizer state {name}: want finite values, of squares and steps 0 or "
            "more; its update is left out of this round"
        )
    return (
        update.change
        | _prefixed(OPTIMIZER, update.optimizer_state)
        | _prefixed(VARIATES, update.variates)
    )


def facts_of(update: SiteUpdate) -> dict[str, object]:
    """What the event log says of an update: its numbers, the head's spread, the change's norm."""
    facts = {
        field.name: getattr(update, field.name)
        for field in dataclasses.fields(update)
        if field.name not in ("change", "features", "head_answers", "optimizer_state", "variates")
    }
    answers = [] if update.head_answers is None else [update.head_answers]
    norm = change_norm(update.change)
    return facts | {"head_spread": head_spread(answers), "change_norm": norm}
