"""How well single thresholds on the site's standardized images do."""

from __future__ import annotations

import numpy as np

from client.site import Site
from client.site_cases import own_cases
from common.imaging.prepared import baseline_intensity
from common.imaging.split import PARTS, part_facts
from common.metrics.intensity_sweep import dice_by_threshold
from common.recipe import Recipe
from common.wire.messages import BaselineRequest, BaselineSums, PartFacts


def sum_baseline(request: BaselineRequest, recipe: Recipe, site: Site) -> BaselineSums:
    """Per threshold, the sum of Dice over the cases with lesions that train.

    On the recipe's first modality, see `baseline_intensity`; a case without lesions has no Dice.
    How the site has dealt its cases goes along, except of parts with fewer subjects than the
    hospital allows to be summed.
    PolicyRefused where these are fewer subjects than the hospital allows to be summed.
    """
    split = own_cases(site, recipe, request.template)
    cases = [case for case in split.training if case.trainable]
    if cases:
        site.policy.require_enough_subjects(len({case.subject for case in cases}))
    sums = np.zeros(len(request.thresholds))
    for case in cases:
        assert case.lesions is not None, "training cases have a reference"
        intensity = baseline_intensity(case, recipe.task)
        sums += dice_by_threshold(intensity, case.brain, case.lesions, request.thresholds)
    facts = part_facts(split)
    return BaselineSums(
        dice_sums=tuple(sums.tolist()),
        n_cases=len(cases),
        parts={
            part: PartFacts(
                n_subjects=facts[part].n_subjects,
                n_cases=facts[part].n_cases,
                n_lesions=facts[part].n_lesions,
                lesion_volume_ml=facts[part].lesion_ml,
            )
            for part in PARTS
            if facts[part].n_subjects >= site.policy.min_subjects
        },
    )
