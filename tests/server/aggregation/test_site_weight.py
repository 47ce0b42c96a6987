from __future__ import annotations

from typing import Literal

import pytest

from common.wire.messages import SiteUpdate
from server.aggregation.site_weight import site_weight

UPDATE = SiteUpdate(
    n_cases=7,
    lesion_volume_ml=12.5,
    loss=0.5,
    segmentation_loss=0.5,
    site_loss=None,
    estimated_lesion_f1=None,
    true_lesion_f1=None,
    validation_dice=None,
    n_validation_cases=0,
    wall_s=1.0,
    change={},
)


@pytest.mark.parametrize(
    ("weighting", "weight"), [("equal", 1.0), ("cases", 7.0), ("lesion-volume", 12.5)]
)
def test_a_site_counts_as_the_recipe_says(
    weighting: Literal["equal", "cases", "lesion-volume"], weight: float
) -> None:
    assert site_weight(UPDATE, weighting) == weight
