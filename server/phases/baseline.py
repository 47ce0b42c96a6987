"""Second phase: the single intensity threshold that does best on the training sites.

The product's result stands beside it: a network that does not beat a threshold has learned nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping

import numpy as np

from common.arrays import FloatArray
from common.errors import UpdateRejected
from common.recipe.recipe import Recipe
from common.wire.messages import BaselineRequest, BaselineSums
from server.events.event_log import EventLog
from server.events.schema import BaselineTuned, SitePart, SiteSplit
from server.phases.announced_choices import announce_round, announce_threshold
from server.phases.threshold_sums import require_declared
from server.rounds.phase import Exchange, Phase
from server.run.run_state import RunState

THRESHOLDS = tuple(round(0.1 * step, 1) for step in range(51))
"""0 to 5 in steps of 0.1, standardized units, on the recipe's first modality."""

ROUNDING = 1e-6
"""What a sum of Dice of 1 may be above the number of cases, for floats."""


class BaselinePhase(Phase):
    """One exchange: each site's sum of Dice per threshold; the best mean is chosen.

    It also announces what the sites' own cases will choose: the round, where no validation site
    does, and the decision threshold, where the recipe has it chosen.
    """

    name = "baseline"

    def __init__(
        self, recipe: Recipe, events: EventLog, *, has_validation_site: bool = False
    ) -> None:
        self._recipe = recipe
        self._events = events
        self._has_validation_site = has_validation_site

    def round(self, state: RunState) -> Generator[Exchange, None, RunState]:
        """The state with the chosen threshold in it; as it was where no site had sums to give."""
        dice_sums: dict[str, FloatArray] = {}
        n_cases = 0
        replies: dict[str, BaselineSums] = {}

        def accumulate(site: str, reply: BaselineSums) -> Mapping[str, object]:
            nonlocal n_cases
            if len(reply.dice_sums) != len(THRESHOLDS):
                raise UpdateRejected(
                    f"site {site}: want {len(THRESHOLDS)} sums of Dice, got {len(reply.dice_sums)}"
                )
            _refuse_impossible(site, reply)
            require_declared(site, reply.n_cases, state.declared)
            parts: dict[str, SitePart] = {
                part: SitePart(**dataclasses.asdict(facts)) for part, facts in reply.parts.items()
            }
            split = SiteSplit(site=site, parts=parts)
            replies[site] = reply
            dice_sums[site] = np.array(reply.dice_sums)
            n_cases += reply.n_cases
            self._events.record(split)
            return {"n_cases": reply.n_cases}

        yield Exchange(
            request=lambda assignment: BaselineRequest(
                assignment=assignment, template=state.template, thresholds=THRESHOLDS
            ),
            reply=BaselineSums,
            accumulate=accumulate,
            roles=("train",),
        )
        state = self._announced(state, replies)
        if n_cases == 0:
            return state
        # by name, not by arrival: the choice must not depend on who was quicker
        total = np.sum([dice_sums[site] for site in sorted(dice_sums)], axis=0)
        best = int(np.argmax(total))
        self._events.record(
            BaselineTuned(
                modality=self._recipe.task.modalities[0],
                threshold_z=THRESHOLDS[best],
                mean_dice=float(total[best] / n_cases),
            )
        )
        return dataclasses.replace(state, baseline_threshold=THRESHOLDS[best])

    def _announced(self, state: RunState, replies: Mapping[str, BaselineSums]) -> RunState:
        """The state that knows whether the sites' cases choose the round; an event a choice."""
        events = []
        if not self._has_validation_site:
            subjects = {site: reply.for_round for site, reply in replies.items()}
            events.append(announce_round(subjects, self._recipe))
            state = dataclasses.replace(state, sites_choose_round=events[-1].n_subjects > 0)
        if self._recipe.inference.threshold_from == "sites":
            subjects = {site: reply.for_threshold for site, reply in replies.items()}
            events.append(announce_threshold(subjects, self._recipe))
        for event in events:
            self._events.record(event)
        return state


def _refuse_impossible(site: str, reply: BaselineSums) -> None:
    """Nothing, or UpdateRejected where a Dice would be above 1, or a subject without a case."""
    if max(reply.dice_sums) > reply.n_cases + ROUNDING:
        raise UpdateRejected(
            f"site {site}: want sums of Dice up to its {reply.n_cases} cases, got "
            f"{max(reply.dice_sums):g}"
        )
    for part, facts in reply.parts.items():
        if facts.n_subjects > facts.n_cases:
            raise UpdateRejected(
                f"site {site}: {part}: want at most as many subjects as cases, got "
                f"{facts.n_subjects} of {facts.n_cases}"
            )
