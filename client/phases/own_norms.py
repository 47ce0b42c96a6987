"""A site's own normalization layers, with which it goes on in every round."""

from __future__ import annotations

from torch import nn

from client.phases.kept_arrays import keep_state, kept_state
from client.site.settings import Site
from common.errors import ModelFileError, SiteDataError
from common.learning.networks.parameters import load_parameters, norm_names, parameters_of
from common.wire.messages import Assignment


class OwnNorms:
    """Puts the norms that the site kept after its last round in the place of the received ones.

    network      as received; where nothing was kept its norms stay
    were_kept    whether the site had its own

    What the site sends is its own norms minus the received ones, so that the coordinator has their
    mean over the sites. A site that missed rounds goes on with those of its last one.
    SiteDataError where the network has no normalization layer.
    Source     Li et al. 2021, arXiv:2102.07623 (FedBN): batch norms stay local. Chosen: group norms
               too; the mean is kept beside them, for sites that never trained.
    """

    def __init__(self, network: nn.Module, assignment: Assignment, site: Site) -> None:
        self._assignment, self._site = assignment, site
        self._names = norm_names(network)
        if not self._names:
            raise SiteDataError(
                "federation.norms = 'local' keeps normalization layers, and the recipe's network "
                "has none. Ask the coordinator for federation.norms = 'averaged'.",
                code="no-norms",
            )
        kept = kept_state(assignment, site, "norms")
        self.were_kept = kept is not None
        if kept is not None:
            try:
                load_parameters(network, parameters_of(network) | dict(kept))
            except ModelFileError as error:
                raise SiteDataError(
                    f"{site.work / 'norms'}: {error} Remove that folder: the site then begins "
                    "with the received ones.",
                    code="kept-norms",
                ) from None

    def keep(self, network: nn.Module) -> None:
        """Writes the norms as they are after the round."""
        all_ = parameters_of(network)
        own = {name: all_[name] for name in self._names}
        keep_state(own, self._assignment, self._site, "norms")
