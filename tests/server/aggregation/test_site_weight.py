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
    ("weighting", "weight"),
    # 1 - 0.2 over the mean of 1 - 0.2 and 1 - 0.6
    [("equal", 1.0), ("cases", 7.0), ("lesion-volume", 12.5), ("validation", 0.8 / 0.6)],
)
def test_a_site_counts_as_the_recipe_says(
    weighting: Literal["equal", "cases", "lesion-volume", "validation"], weight: float
) -> None:
    figures = {"lyon": 0.2, "ghent": 0.6}
    assert site_weight("lyon", UPDATE, weighting, figures) == pytest.approx(weight)
