"""How a network does at each decision threshold, on cases that did not train."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from client.phases.site_cases import (
    for_threshold,
    labelled_cases,
    own_cases,
    shareable,
    summed_subjects,
)
from client.site.settings import Site
from common.imaging.dataset.prepared import PreparedCase
from common.learning.model import new_network
from common.learning.networks.parameters import load_parameters
from common.learning.segmentation import sweep_case_by_size
from common.metrics.threshold_choice import ThresholdSums
from common.recipe.recipe import Recipe
from common.wire.messages import SummedSubjects, ThresholdReply, ThresholdRequest


def sum_thresholds(request: ThresholdRequest, recipe: Recipe, site: Site) -> ThresholdReply:
    """Sums of Dice and lesion F1 per threshold over one part of the site's cases.

    Over no case where the hospital's policy lets none leave, see `summed_subjects`: a small site
    must not end the run. What is shown site by site, part `all`, counts the site's own subjects
    alone. A choice is made on the prepared grid; a verdict is given where the lesions were drawn.
    """
    torch.set_num_threads(recipe.compute.threads)
    cases, n_new, n_lost = _part_of(request, recipe, site)
    if request.part == "all":
        cases = shareable(cases, site)
        subjects = SummedSubjects(n_subjects=len({c.subject for c in cases if c.trainable}))
    else:
        subjects = summed_subjects(cases, site)
        cases = cases if subjects.n_subjects else []
    network = new_network(recipe)
    load_parameters(network, request.parameters)
    as_drawn = request.part in ("test", "all")
    by_size = [ThresholdSums.none(request.thresholds)] * max(1, len(request.smallest_mm3))
    for case in cases:
        sweeps = sweep_case_by_size(
            network,
            case,
            recipe,
            thresholds=request.thresholds,
            smallest_mm3=request.smallest_mm3,
            as_drawn=as_drawn,
        )
        by_size = [
            sums + ThresholdSums.of_case(sweep) for sums, sweep in zip(by_size, sweeps, strict=True)
        ]
    sums = by_size[0]  # whether a figure is defined depends on the reference alone
    n_drawn = sum(case.drawn_reference is not None for case in cases)
    return ThresholdReply(
        dice_sums=tuple(one for of_size in by_size for one in of_size.dice),
        lesion_f1_sums=tuple(one for of_size in by_size for one in of_size.lesion_f1),
        n_dice=sums.n_dice,
        n_lesion_f1=sums.n_lesion_f1,
        n_cases=sums.n_cases,
        n_on_scanner_grid=n_drawn if as_drawn else 0,
        subjects=subjects,
        n_new_subjects=n_new,
        n_lost_subjects=n_lost,
    )


def _part_of(
    request: ThresholdRequest, recipe: Recipe, site: Site
) -> tuple[Sequence[PreparedCase], int, int]:
    """The cases asked for, and the subjects that are new and gone since the run began.

    No case where a site is too small to keep one of that part.
    """
    if request.part == "all":
        return labelled_cases(site, recipe, request.template), 0, 0
    split = own_cases(site, recipe, request.template, run=request.assignment.run)
    changes = split.n_new_subjects, split.n_lost_subjects
    if request.part == "test":
        return split.test, *changes
    validation = request.part == "validation"
    return split.validation if validation else for_threshold(split, recipe), *changes
