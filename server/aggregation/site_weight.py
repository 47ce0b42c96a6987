"""How much a site counts in the aggregate."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Literal

from pydantic.dataclasses import dataclass

from common.wire.field_types import CHECKED
from common.wire.messages import SiteUpdate
from server.aggregation.validation_weight import validation_weight

Weighting = Literal["equal", "cases", "lesion-volume", "validation"]


@dataclass(frozen=True, kw_only=True, slots=True, config=CHECKED)
class Declared:
    """What a site has that its recipe can train on, before any of it is kept for other parts."""

    n_cases: int
    lesion_volume_ml: float


def declared_weight(
    site: str, weighting: Weighting, declared: Mapping[str, Declared]
) -> float | None:
    """The most that a site counts by what it said before training; None where that bounds nothing.

    declared   site -> what it said; a site that said nothing, because it was not there, counts at
               most as the median of those that did
    """
    if weighting not in ("cases", "lesion-volume") or not declared:
        return None
    counts = {
        name: float(one.n_cases) if weighting == "cases" else one.lesion_volume_ml
        for name, one in declared.items()
    }
    return counts.get(site, statistics.median(counts.values()))


def site_weight(
    site: str, update: SiteUpdate, weighting: Weighting, validation_dice: Mapping[str, float]
) -> float:
    """How much one site counts: 1, its training cases, the mL of lesion in them, or by validation.

    validation_dice   as in `validation_weight`
    Source   McMahan et al. 2017, arXiv:1602.05629 (cases). The other two are ours.
    """
    match weighting:
        case "equal":
            return 1.0
        case "cases":
            return float(update.n_cases)
        case "lesion-volume":
            return update.lesion_volume_ml
        case "validation":
            return validation_weight(site, validation_dice)
