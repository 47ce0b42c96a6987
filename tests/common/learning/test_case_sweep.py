from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from common.imaging.dataset.prepared import PreparedCase
from common.learning.segmentation import sweep_case, sweep_case_by_size
from common.metrics.threshold_sweep import THRESHOLDS
from common.recipe.recipe import load_recipe

GRID = (24, 20, 22)
CROP_START = (3, 2, 4)
CROP = (16, 16, 16)


class FirstChannel(nn.Module):
    """The first channel as the logit of lesion."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images[:, :1], images


def case() -> PreparedCase:
    """A lesion of 8 voxels found at logit 1, and 5 voxels of nothing at logit 0.5; else -9.

    Voxels measure 1 x 1 x 2 mm: 16 and 10 mm3.
    """
    lesions = np.zeros(CROP, bool)
    lesions[4:6, 4:6, 4:6] = True
    image = np.full((1, *CROP), -9, np.float32)
    image[0, 4:6, 4:6, 4:6] = 1
    image[0, 10:15, 12, 12] = 0.5
    return PreparedCase(
        subject="sub-01",
        session=None,
        control=False,
        image=image,
        brain=np.ones(CROP, bool),
        lesions=lesions,
        crop_start=CROP_START,
        grid_shape=GRID,
        affine=np.diag([1.0, 1.0, 2.0, 1.0]),
    )


@pytest.mark.parametrize(
    ("threshold", "min_voxels", "dice", "lesion_f1"),
    [
        # sigmoid(1) = 0.731, sigmoid(0.5) = 0.622
        pytest.param(0.5, 1, 16 / 21, 2 / 3, id="8 right of 13; 1 lesion right of 2"),
        pytest.param(0.5, 6, 1.0, 1.0, id="the 5 voxels are too few"),
        pytest.param(0.7, 1, 1.0, 1.0, id="only the lesion"),
        pytest.param(0.75, 1, 0.0, 0.0, id="nothing"),
    ],
)
def test_the_counts_are_the_recipe_s_on_the_whole_grid(
    threshold: float, min_voxels: int, dice: float, lesion_f1: float
) -> None:
    recipe = load_recipe(
        "aslani2020",
        overrides=[
            "task.modalities=['FLAIR']",
            "sampling.patch_shape=[16, 16, 32]",
            "network.norm=group",
            f"inference.min_lesion_voxels={min_voxels}",
        ],
    )
    [counts] = sweep_case(FirstChannel(), case(), recipe, thresholds=(threshold,))
    assert counts.threshold == threshold
    assert counts.voxels.dice == pytest.approx(dice)
    assert counts.lesions.lesion_f1 == pytest.approx(lesion_f1)
    n_voxels = counts.voxels.tp + counts.voxels.fp + counts.voxels.fn + counts.voxels.tn
    assert n_voxels == 24 * 20 * 22


def test_for_each_smallest_volume_there_is_a_sweep() -> None:
    """The 5 voxels of nothing are 10 mm3, the lesion is 16: kept are both, both, one, none."""
    recipe = load_recipe(
        "aslani2020",
        overrides=[
            "task.modalities=['FLAIR']",
            "sampling.patch_shape=[16, 16, 32]",
            "network.norm=group",
            "inference.min_lesion_voxels=6",  # the volumes take its place
        ],
    )
    sweeps = sweep_case_by_size(
        FirstChannel(), case(), recipe, thresholds=(0.5, 0.7), smallest_mm3=(0, 10, 10.1, 16.1)
    )
    dice = [[at.voxels.dice for at in sweep] for sweep in sweeps]
    assert dice == [[16 / 21, 1], [16 / 21, 1], [1, 1], [0, 0]]


def test_without_a_choice_the_thresholds_are_the_grid_s() -> None:
    recipe = load_recipe(
        "aslani2020",
        overrides=[
            "task.modalities=['FLAIR']",
            "sampling.patch_shape=[16, 16, 32]",
            "network.norm=group",
        ],
    )
    found = sweep_case(FirstChannel(), case(), recipe)
    assert tuple(counts.threshold for counts in found) == THRESHOLDS
