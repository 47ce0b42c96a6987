"""The site's own cases, prepared and split, as every phase sees them."""

from __future__ import annotations

import logging

from client.findings_file import tell
from client.site import Site
from common.errors import SiteDataError
from common.imaging.prepared import PreparedCase
from common.imaging.prepared_site import PreparedSite, prepared_site
from common.imaging.preprocessing.template import Template
from common.imaging.split import split_cases
from common.recipe import Recipe
from common.seeds import derived_seed

log = logging.getLogger(__name__)


def site_cases(site: Site, recipe: Recipe, template: Template) -> PreparedSite:
    """Everything usable at the site, prepared with the consortium's template."""
    store = site.work / "prepared"
    prepared = prepared_site(site.data, recipe=recipe, template=template, store=store)
    tell(site, prepared.findings, n_left_out=len(prepared.quarantined))
    return prepared


def training_cases(
    site: Site, recipe: Recipe, template: Template
) -> tuple[list[PreparedCase], list[PreparedCase]]:
    """The cases with lesions that train, and those the site keeps to score the network on.

    SiteDataError where no case has a lesion: such a site may join the statistics, not train.
    """
    cases = [case for case in site_cases(site, recipe, template).cases if case.trainable]
    if not cases:
        raise SiteDataError(
            f"site {site.name}: asked to train, and no case under {site.data} has a lesion in its "
            "reference. Add lesion masks (desc-lesion_mask), or ask the coordinator to enrol this "
            "site for the statistics only.",
            code="no-lesions",
        )
    return split_cases(
        cases,
        validation_share=recipe.federation.site_validation_share,
        seed=derived_seed(recipe.seed, "site-validation", site.name),
    )
