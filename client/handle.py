"""A request in, the reply out: all of the site's side that is not Flower."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from client.failure import failure_of
from client.phases.baseline import sum_baseline
from client.phases.lesion_metric import store_lesion_metric
from client.phases.mining import mine
from client.phases.site_probe import sum_attributions, sum_features
from client.phases.statistics import describe_site
from client.phases.threshold import sum_thresholds
from client.phases.training import train
from client.site.settings import Site
from common.errors import WireError
from common.recipe.recipe import Recipe, recipe_from_table
from common.wire.messages import (
    Assignment,
    AttributionRequest,
    BaselineRequest,
    FeatureRequest,
    LesionMetricRequest,
    MiningRequest,
    Reply,
    Request,
    StatisticsRequest,
    ThresholdRequest,
    TrainRequest,
)

ANSWERS: Mapping[type[Request], Callable[[Any, Recipe, Site], Reply]] = {
    StatisticsRequest: lambda asked, recipe, site: describe_site(recipe, site, asked.digests),
    BaselineRequest: sum_baseline,
    LesionMetricRequest: store_lesion_metric,
    MiningRequest: mine,
    TrainRequest: train,
    ThresholdRequest: sum_thresholds,
    FeatureRequest: sum_features,
    AttributionRequest: sum_attributions,
}
"""Every request that a site answers, and the phase's half that does it."""


def handle(request: Request, site: Site) -> Reply:
    """The site's answer; a SiteFailure, which holds no text, where something is wrong."""
    try:
        recipe = _admitted(request.assignment, site)
        return ANSWERS[type(request)](request, recipe, site)
    except Exception as error:
        return failure_of(error)


def _admitted(assignment: Assignment, site: Site) -> Recipe:
    """The recipe of a request, which the hospital allows."""
    recipe = _recipe_of(assignment)
    site.policy.require_approved(recipe.sha256())
    site.limits.require_within(recipe)
    return recipe


def _recipe_of(assignment: Assignment) -> Recipe:
    try:
        table = json.loads(assignment.recipe)
    except (ValueError, RecursionError) as error:
        raise WireError(f"the recipe that came is not JSON: {error}") from None
    if not isinstance(table, dict):
        raise WireError(f"the recipe that came: want an object, got {type(table).__name__}")
    return recipe_from_table(table, where="recipe from the coordinator")
