"""Choices by the validation sites, the verdict by the unseen ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from common.learning.model import NETWORK, new_network, part, set_stage
from common.learning.networks.parameters import load_parameters
from common.model_file import Model, read_model, write_model
from common.recipe.recipe import Recipe
from server.evaluation.case_row import CaseRow
from server.evaluation.evaluate import evaluate
from server.evaluation.evaluation_folder import EvaluationFolder
from server.evaluation.held_out_site import PreparedHeldOutSite, open_held_out_site
from server.evaluation.predict import HALF, Segment, brighter_than, by_intensity, by_network
from server.evaluation.site_summary import defined, spread
from server.events.event_log import EventLog
from server.events.schema import LAST_ROUND, Evaluated, RoundSelected, ScoredMethod, SitesValidated
from server.run.run_folder import Consortium, RunFolder
from server.run.run_state import RunState, Selected

BY_SITES = "mean Dice on the validation sites"
BY_KEPT_CASES = "mean Dice on the cases that sites keep for validation"
BEGUN_ANEW = "begun anew, for other sites than before had a say"


class CentralEvaluation:
    """Scores the held-out sites, selects a round, writes the model and the verdict.

    The validation sites choose; without one the cases that the training sites keep for validation,
    of which the state holds the mean. Where that mean is over other sites than the best one until
    now the two cannot be compared, and the choice begins anew with this round. The unseen sites
    are scored along the way for the curves, and no figure of theirs is read by any choice. Curves
    and choices are on the prepared grid; the verdict, of the network and of the intensity
    threshold, is where the lesions were drawn.
    """

    def __init__(
        self, folder: RunFolder, *, recipe: Recipe, consortium: Consortium, events: EventLog
    ) -> None:
        self._folder = folder
        self._recipe = recipe
        self._consortium = consortium
        self._events = events
        self._opened: dict[str, PreparedHeldOutSite] = {}

    def evaluate_held_out(self, state: RunState) -> RunState:
        """The state with the best round until now; the model file is written when it changes.

        Of a cascade only rounds with both networks are selected.
        """
        torch.set_num_threads(self._recipe.compute.threads)
        network = new_network(self._recipe)
        load_parameters(network, part(state.judged_parameters, NETWORK))
        first_of_two = state.phase == "training-first"
        set_stage(network, "first" if first_of_two else "second")
        threshold = self._recipe.inference.threshold
        choosing = self._score("network", by_network(network, self._recipe, threshold), state)
        if state.training_round > 0:
            return state if first_of_two else self._select(state, choosing)
        if state.baseline_threshold is not None:
            self._score("baseline", by_intensity(state.baseline_threshold, self._recipe), state)
        return state

    def evaluate_selected_model(self, state: RunState, *, images: bool) -> None:
        """Scores the model file on the unseen sites, draws their cases, writes the tables."""
        model = read_model(self._folder.model_file)
        rows = evaluate(
            model,
            {site.name: site.data for site in self._consortium.unseen},
            out=self._folder.evaluation,
            store=self._folder.prepared,
            images=images,
        )
        for site, of_site in rows.items():
            self._record(site, "unseen", "network", of_site, model.round_index)
        if state.baseline_threshold is not None:
            brighter = brighter_than(state.baseline_threshold, self._recipe.task)
            baseline: list[CaseRow] = []
            for unseen in self._consortium.unseen:
                of_site = self._open(unseen.name, state).score_where_drawn(
                    brighter, threshold=HALF, recipe=self._recipe
                )
                if any(row.grid == "scanner" for row in of_site):  # else it is that of round 0
                    self._record(unseen.name, "unseen", "baseline", of_site, model.round_index)
                baseline += of_site
            EvaluationFolder(self._folder.evaluation).write_baseline(baseline)

    def _score(self, method: ScoredMethod, segment_case: Segment, state: RunState) -> list[CaseRow]:
        """Scores every held-out site and returns the rows of those that choose."""
        choosing: list[CaseRow] = []
        consortium = self._consortium
        for role, sites in (("validation", consortium.validation), ("unseen", consortium.unseen)):
            for site in sites:
                rows = self._open(site.name, state).score(segment_case, recipe=self._recipe)
                self._record(site.name, role, method, rows, state.training_round)
                choosing += rows if role == "validation" else []
        return choosing

    def _select(self, state: RunState, choosing: Sequence[CaseRow]) -> RunState:
        found = self._candidate(state, choosing)
        best = state.selected
        if best is not None and best.score is not None:
            if found.score is None or (found.sites == best.sites and found.score <= best.score):
                return state
            if found.sites != best.sites:
                found = dataclasses.replace(found, by=f"{found.by}, {BEGUN_ANEW}")
        model = Model(
            recipe=self._recipe,
            template=state.template,
            threshold=self._recipe.inference.threshold,
            round_index=state.training_round,
            run=self._consortium.run,
            parameters=part(state.judged_parameters, NETWORK),
            trained_grid=state.trained_grid,
        )
        write_model(model, self._folder.model_file)
        self._events.record(RoundSelected(round=found.round_index, by=found.by, score=found.score))
        return dataclasses.replace(state, selected=found)

    def _candidate(self, state: RunState, choosing: Sequence[CaseRow]) -> Selected:
        """This round, with what it can be selected by."""
        at_sites = None if self._consortium.validation else state.site_validation
        if at_sites is None:
            score = spread(defined(choosing, "dice")).mean
            by = LAST_ROUND if score is None else BY_SITES
            return Selected(round_index=state.training_round, by=by, score=score)
        self._events.record(
            SitesValidated(
                round=state.training_round,
                n_cases=at_sites.n_cases,
                n_sites=len(at_sites.sites),
                mean_dice=at_sites.mean_dice,
            )
        )
        return Selected(
            round_index=state.training_round,
            by=BY_KEPT_CASES,
            score=at_sites.mean_dice,
            sites=at_sites.sites,
        )

    def _record(
        self, site: str, role: str, method: ScoredMethod, rows: Sequence[CaseRow], round_index: int
    ) -> None:
        self._events.record(
            Evaluated(site=site, role=role, method=method, round=round_index, cases=tuple(rows))
        )

    def _open(self, name: str, state: RunState) -> PreparedHeldOutSite:
        if name not in self._opened:
            held_out = (*self._consortium.validation, *self._consortium.unseen)
            [data] = [site.data for site in held_out if site.name == name]
            self._opened[name] = open_held_out_site(
                name,
                data,
                recipe=self._recipe,
                template=state.template,
                store=self._folder.prepared,
            )
        return self._opened[name]
