"""How much a site counts in the aggregate."""

from __future__ import annotations

from typing import Literal

from common.wire.messages import SiteUpdate

Weighting = Literal["equal", "cases", "lesion-volume"]


def site_weight(update: SiteUpdate, weighting: Weighting) -> float:
    """How much one site counts: 1, its training cases, or the mL of lesion in them.

    Source   McMahan et al. 2017, arXiv:1602.05629 (cases). The other two are ours.
    """
    match weighting:
        case "equal":
            return 1.0
        case "cases":
            return float(update.n_cases)
        case "lesion-volume":
            return update.lesion_volume_ml
