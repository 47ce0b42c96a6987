"""The decision threshold of a model, chosen at the coordinator on sites named for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import LesionFedError, SiteDataError
from common.learning.segmentation import sweep_case_by_size
from common.metrics.threshold_choice import (
    SMALLEST_MM3,
    By,
    ThresholdChoice,
    ThresholdSums,
    choose_of,
)
from common.model_file import Model
from server.evaluation.held_out_site import open_held_out_site
from server.evaluation.predict import trained_network


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteSweep:
    """What sites named for the choice have to say.

    failed   case, with its site -> why it could not be swept
    """

    choice: ThresholdChoice
    failed: Mapping[str, str]


def choose_threshold(
    model: Model,
    sites: Mapping[str, Path],
    *,
    by: By,
    store: Path,
    on_case: Callable[[str, int, int], None] | None = None,
) -> SiteSweep:
    """The model's best threshold over all cases of these sites that have a lesion.

    With the smallest lesion, where the recipe has `inference.smallest_from` = "sites".

    sites     name -> BIDS folder
    store     where prepared cases are kept between calls
    on_case   called before each case with its name, its number from 1, and how many there are

    SiteDataError where no case can be swept.
    """
    network = trained_network(model)
    opened = [
        open_held_out_site(name, data, recipe=model.recipe, template=model.template, store=store)
        for name, data in sites.items()
    ]
    failed = {f"{site.name} {row.name}": str(row.failed) for site in opened for row in site.failed}
    cases = [(f"{site.name} {case.name}", case) for site in opened for case in site.cases]
    smallest_mm3 = SMALLEST_MM3 if model.recipe.inference.smallest_from == "sites" else ()
    by_size = [ThresholdSums.none()] * max(1, len(smallest_mm3))
    for number, (name, case) in enumerate(cases, start=1):
        if on_case is not None:
            on_case(name, number, len(cases))
        try:
            swept = sweep_case_by_size(network, case, model.recipe, smallest_mm3=smallest_mm3)
        except LesionFedError as error:
            failed[name] = str(error)
            continue
        by_size = [a + ThresholdSums.of_case(b) for a, b in zip(by_size, swept, strict=True)]
    choice = choose_of(by_size, smallest_mm3, by=by, split=f"sites {', '.join(sites)}")
    if choice is None:
        reasons = "; ".join(f"{name}: {why}" for name, why in failed.items()) or "no lesion in any"
        raise SiteDataError(
            f"no case of {', '.join(sites)} can be used to choose a threshold: {reasons}. "
            "Name a site with lesion masks."
        )
    return SiteSweep(choice=choice, failed=failed)
