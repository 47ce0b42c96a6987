"""How much a site counts in the aggregate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from common.wire.messages import SiteUpdate
from server.aggregation.validation_weight import validation_weight

Weighting = Literal["equal", "cases", "lesion-volume", "validation"]


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
