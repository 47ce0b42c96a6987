"""A prepared case through a network to its counts at every decision threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import nn

from common.imaging.dataset.prepared import PreparedCase
from common.learning.segmentation import segment
from common.metrics.presets import preset
from common.metrics.threshold_sweep import THRESHOLDS, ThresholdCounts, sweep_thresholds
from common.recipe.recipe import Recipe


def sweep_case(
    network: nn.Module,
    case: PreparedCase,
    recipe: Recipe,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
) -> list[ThresholdCounts]:
    """The counts at each threshold, on the file's whole grid, by the recipe's lesion definition.

    case   with a reference
    """
    assert case.lesions is not None, "only cases with a reference are scored"
    reference = case.on_file_grid(np.asarray(case.lesions))
    return sweep_thresholds(
        case.on_file_grid(segment(network, case, recipe)).data,
        reference.data,
        spacing_mm=reference.spacing_mm,
        definition=preset(recipe.evaluation.preset),
        thresholds=thresholds,
        min_voxels=recipe.inference.min_lesion_voxels,
    )
