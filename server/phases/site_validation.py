"""At the end of a training round: its network on the cases that sites keep for validation."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator

from common.learning.model import NETWORK, part
from common.recipe.recipe import Recipe
from server.events.history import VALIDATION
from server.phases.threshold_sums import means_of, sum_over_sites
from server.rounds.phase import Exchange
from server.run.run_state import RunState, SiteValidation


def validate_at_sites(state: RunState, recipe: Recipe) -> Generator[Exchange, None, RunState]:
    """Yields the one exchange, and returns the state with the mean Dice in it.

    state   with the round's new parameters; its mean is over all sites' cases together, at the
            recipe's threshold, and None where no sums may be used

    Needs no number of replies: a round without it can still be the last one.
    """
    summed = yield from sum_over_sites(
        parameters=part(state.judged_parameters, NETWORK),
        template=state.template,
        thresholds=(recipe.inference.threshold,),
        part="validation",
        quorum=0,
        phase=VALIDATION,
        declared=state.declared,
    )
    mean_dice, _ = means_of(summed.total)
    validation = None
    if mean_dice is not None:
        validation = SiteValidation(
            mean_dice=mean_dice, n_cases=summed.total.n_dice, sites=summed.sites
        )
    return dataclasses.replace(state, site_validation=validation)
