from __future__ import annotations

import numpy as np
import torch
from torch import nn

from common.learning.latent_features import latent_features
from common.recipe.recipe import load_recipe
from tests.patch_networks import BrainCase

SHAPE = (12, 10, 14)
RECIPE = load_recipe(
    "fenneteau2021", overrides=["sampling.patch_shape=[8, 8, 8]", "network.checkpointing=false"]
)


class Copy(nn.Module):
    """The images are the bottleneck."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert not self.training
        return images[:, :1], images


def constant(*values: float) -> BrainCase:
    image = np.stack([np.full(SHAPE, value, np.float32) for value in values])
    return BrainCase(image, np.ones(SHAPE, bool), None)


def test_each_case_has_its_own_patches_and_features_are_means_over_space() -> None:
    network = Copy().train()
    found = latent_features(
        network, [constant(1, -2), constant(3, -4)], RECIPE, per_case=11, seed=0
    )
    assert found.shape == (2, 11, 2)
    np.testing.assert_array_equal(found[0], [[1, -2]] * 11)
    np.testing.assert_array_equal(found[1], [[3, -4]] * 11)
    assert network.training


def test_patches_lie_about_the_brain_and_the_seed_says_where() -> None:
    image = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(1, *SHAPE)
    brain = np.zeros(SHAPE, bool)
    brain[9:, 8:, 12:] = True
    cases = [BrainCase(image, brain, None)]
    found, again, other = (
        latent_features(Copy(), cases, RECIPE, per_case=40, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(found, again)
    assert not np.array_equal(found, other)
    # a patch of 8 voxels that holds a voxel of index 9 and more begins at 2 or later, and so on
    begins_last = image[0, 4:, 2:, 6:].mean()
    begins_first = image[0, 2:10, 1:9, 5:13].mean()
    assert begins_first <= found.min()
    assert found.max() <= begins_last
