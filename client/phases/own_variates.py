"""A site's own control variates (SCAFFOLD), kept on its disk."""

from __future__ import annotations

import numpy as np

from client.phases.kept_arrays import keep_state, kept_state
from client.site.settings import Site
from common.learning.control_variates import Variates, require_fitting, variates_after
from common.recipe.recipe import Recipe
from common.wire.field_types import Arrays
from common.wire.messages import TrainRequest


class OwnVariates:
    """The site's variates beside those of all sites, before and after a round.

    were_kept    whether the site had its own from an earlier round; else they are zeros

    A site that missed rounds goes on with those of its last one, as a site that was not drawn does
    in the paper. WireError where the received ones are not finite, or the kept ones do not fit.
    """

    def __init__(self, request: TrainRequest, recipe: Recipe, site: Site) -> None:
        self._assignment, self._site = request.assignment, site
        self._all_sites = request.variates
        kept = kept_state(request.assignment, site, "variates")
        self.were_kept = kept is not None
        zeros = {name: np.zeros_like(array) for name, array in self._all_sites.items()}
        self._own: Variates = zeros if kept is None else kept

    @property
    def both(self) -> tuple[Variates, Variates]:
        """Those of all sites and the site's own, as the steps are corrected by."""
        return self._all_sites, self._own

    def keep(self, change: Variates, *, n_steps: int, recipe: Recipe) -> Arrays:
        """What is sent: the change of the site's variates, which are written to its disk.

        change   of the parameters in this round
        """
        after = variates_after(
            self._own,
            self._all_sites,
            change=change,
            n_steps=n_steps,
            learning_rate=recipe.optimizer.learning_rate_in(self._assignment.round_index),
        )
        require_fitting(after, {name: array.shape for name, array in self._all_sites.items()})
        keep_state(after, self._assignment, self._site, "variates")
        return {name: np.asarray(array - self._own[name]) for name, array in after.items()}
