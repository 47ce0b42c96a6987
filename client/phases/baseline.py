"""How well single thresholds on the site's standardized images do."""

from __future__ import annotations

import numpy as np

from client.site import Site
from client.site_cases import training_cases
from common.metrics.intensity_sweep import dice_by_threshold
from common.recipe import Recipe
from common.wire.messages import BaselineRequest, BaselineSums


def sum_baseline(request: BaselineRequest, recipe: Recipe, site: Site) -> BaselineSums:
    """Per threshold, the sum of Dice over the cases that train, on the recipe's first modality.

    PolicyRefused where these are fewer subjects than the hospital allows to be summed.
    """
    cases, _ = training_cases(site, recipe, request.template)
    site.policy.require_enough_subjects(len({case.subject for case in cases}))
    sums = np.zeros(len(request.thresholds))
    for case in cases:
        assert case.lesions is not None, "training cases have a reference"
        sums += dice_by_threshold(case.image[0], case.brain, case.lesions, request.thresholds)
    return BaselineSums(dice_sums=tuple(sums.tolist()), n_cases=len(cases))
