"""How well single thresholds on the site's standardized images do."""

from __future__ import annotations

import logging

import numpy as np

from client.phases.site_cases import for_threshold, own_cases, shareable, summed_subjects
from client.site.settings import Site
from common.imaging.dataset.prepared import baseline_intensity
from common.imaging.dataset.split import PARTS, Part, Split, part_facts
from common.metrics.intensity_sweep import dice_by_threshold
from common.recipe.recipe import Recipe
from common.wire.messages import BaselineRequest, BaselineSums, PartFacts

log = logging.getLogger(__name__)


def sum_baseline(request: BaselineRequest, recipe: Recipe, site: Site) -> BaselineSums:
    """Per threshold, the sum of Dice over the cases with lesions that train.

    On the recipe's first modality, see `baseline_intensity`; a case without lesions has no Dice.
    Over no case where too few subjects have one, see `shareable`: a small site must not end the
    run. How the site has split its cases goes along, see `_parts`, and what it will bring to later
    choices.
    """
    split = own_cases(site, recipe, request.template, run=request.assignment.run)
    cases = shareable([case for case in split.training if case.trainable], site)
    sums = np.zeros(len(request.thresholds))
    for case in cases:
        assert case.lesions is not None, "training cases have a reference"
        intensity = baseline_intensity(case, recipe.task)
        sums += dice_by_threshold(intensity, case.brain, case.lesions, request.thresholds)
    return BaselineSums(
        dice_sums=tuple(sums.tolist()),
        n_cases=len(cases),
        parts=_parts(split, site),
        for_round=summed_subjects(split.validation, site),
        for_threshold=summed_subjects(for_threshold(split, recipe), site),
    )


def _parts(split: Split, site: Site) -> dict[Part, PartFacts]:
    """What the parts that are not empty hold.

    None of them where one has too few subjects, or too few with a lesion, to be summed: the site's
    totals are known, and what is left of them would be that part.
    """
    for part in PARTS:
        cases = getattr(split, part)
        n_subjects = len({case.subject for case in cases})
        n_with_lesion = len({case.subject for case in cases if case.trainable})
        if not (site.policy.allows(n_subjects) and site.policy.allows(n_with_lesion)):
            log.info("how the cases are split does not leave: too few subjects in %s", part)
            return {}
    return {
        part: PartFacts(
            n_subjects=facts.n_subjects,
            n_cases=facts.n_cases,
            n_lesions=facts.n_lesions,
            lesion_volume_ml=facts.lesion_ml,
        )
        for part, facts in part_facts(split).items()
        if facts.n_subjects
    }
