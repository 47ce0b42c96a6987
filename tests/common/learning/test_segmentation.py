from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from common.arrays import BoolArray, Float32Array
from common.errors import ModelFileError
from common.imaging.dataset.prepared import PreparedCase
from common.learning.networks.cascade import Cascade
from common.learning.segmentation import found_lesions, lesion_probability, segment
from common.recipe.network import CascadeSettings
from common.recipe.recipe import Recipe, load_recipe
from tests.patch_networks import sees_bright_voxels

AFFINE = np.array(
    [[1.1, 0.2, 0.0, -8.0], [-0.2, 1.1, 0.3, -6.0], [0.0, -0.3, 2.0, -9.0], [0, 0, 0, 1]]
)


def case(image: Float32Array, brain: BoolArray) -> PreparedCase:
    first, second, third = brain.shape
    return PreparedCase(
        subject="sub-07",
        session="ses-02",
        control=False,
        image=image,
        brain=brain,
        lesions=None,
        crop_start=(0, 0, 0),
        grid_shape=(first, second, third),
        affine=AFFINE,
    )


class FirstChannel(nn.Module):
    """The first channel as the logit of lesion."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images[:, :1], images


class PatchMean(nn.Module):
    """The same answer for a whole patch, so that overlaps show."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        lesion = images.mean(dim=(1, 2, 3, 4), keepdim=True).expand(-1, 1, *images.shape[2:])
        return lesion, images


def flair(*overrides: str) -> Recipe:
    return load_recipe(
        "aslani2020",
        overrides=[
            "task.modalities=['FLAIR']",
            "sampling.patch_shape=[16, 16, 32]",
            "network.norm=group",
            *overrides,
        ],
    )


def test_a_map_is_cut_to_the_brain() -> None:
    image = np.random.default_rng(0).normal(size=(1, 19, 10, 33)).astype(np.float32)
    brain = np.random.default_rng(1).random((19, 10, 33)) < 0.7
    found = segment(FirstChannel(), case(image, brain), flair())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, brain / (1 + np.exp(-image[0])), atol=1e-6)
    assert found.max() <= 1


@pytest.mark.parametrize("blend", ["gaussian", "mean"])
@pytest.mark.parametrize("overlap", [0.25, 0.5])
def test_patches_are_cut_and_blended_as_the_recipe_says(blend: str, overlap: float) -> None:
    image = np.random.default_rng(2).normal(size=(1, 26, 16, 32)).astype(np.float32)
    recipe = flair(f"inference.blend={blend}", f"inference.overlap={overlap}")
    found = segment(PatchMean(), case(image, np.ones(image.shape[1:], bool)), recipe)
    expected = lesion_probability(
        PatchMean(),
        image,
        patch_shape=(16, 16, 32),
        overlap=overlap,
        blend="gaussian" if blend == "gaussian" else "mean",
        device="cpu",
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_network_that_diverged_is_named_with_its_case() -> None:
    image = np.full((1, 16, 16, 32), np.nan, np.float32)
    with pytest.raises(ModelFileError, match=r"sub-07_ses-02: the network gives NaN"):
        segment(FirstChannel(), case(image, np.ones(image.shape[1:], bool)), flair())


def bright_and_brighter() -> PreparedCase:
    """FLAIR of 1 and of 2, far apart, a voxel of 0.4 no network looks at, and a second channel."""
    image = np.zeros((2, 30, 4, 5), np.float32)
    image[0, 4, 1, 2], image[0, 24, 2, 3], image[0, 14, 1, 1] = 1, 2, 0.4
    return case(image, np.ones(image.shape[1:], bool))


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        # first network: logit z - 1.5, sigmoid(-0.5) = 0.3775 and sigmoid(0.5) = 0.6225
        pytest.param("first", (0.3775407, 0.6224593), id="first"),
        # of these only the second is above 0.5 and asked again: sigmoid(3 - z) at z = 2
        pytest.param("second", (0.0, 0.7310586), id="second"),
    ],
)
def test_a_cascade_answers_with_the_stage_it_is_set_to(
    stage: str, expected: tuple[float, float]
) -> None:
    cascade = Cascade(CascadeSettings(name="cascade"), n_channels=2)
    cascade.first = sees_bright_voxels(n_channels=2, logit=1.0, bias=-1.5)
    cascade.second = sees_bright_voxels(n_channels=2, logit=-1.0, bias=3.0)
    cascade.stage = "first" if stage == "first" else "second"
    found = segment(cascade, bright_and_brighter(), load_recipe("galassi2019"))
    assert np.count_nonzero(found) == sum(p > 0 for p in expected)
    np.testing.assert_allclose((found[4, 1, 2], found[24, 2, 3]), expected, atol=1e-5)


def test_a_cascade_that_diverged_is_named_with_its_case() -> None:
    cascade = Cascade(CascadeSettings(name="cascade"), n_channels=2)
    cascade.first = sees_bright_voxels(n_channels=2, logit=float("nan"), bias=0.0)
    with pytest.raises(ModelFileError, match=r"sub-07_ses-02: the network gives NaN"):
        segment(cascade, bright_and_brighter(), load_recipe("galassi2019"))


@pytest.mark.parametrize(
    ("threshold", "min_voxels", "n_left"),
    [
        pytest.param(0.5, 1, 7, id="4 + 3 voxels above 0.5, the one at 0.5 is not"),
        pytest.param(0.5, 4, 4, id="the lesion of 3 goes"),
        pytest.param(0.75, 1, 4, id="3 at 0.8, and 1 of the four"),
        pytest.param(0.75, 2, 3, id="what is left of the four is 1"),
        pytest.param(0.4, 5, 5, id="with the voxel at 0.5 the four are five"),
    ],
)
def test_lesions_are_above_the_threshold_and_large_enough(
    threshold: float, min_voxels: int, n_left: int
) -> None:
    probability = np.zeros((9, 4, 6), np.float32)
    probability[0, 0, :5] = (0.5, 0.6, 0.7, 0.7, 0.8)
    probability[5:8, 2, 3] = 0.8
    recipe = flair(f"inference.min_lesion_voxels={min_voxels}")
    found = found_lesions(probability, threshold, recipe)
    assert found.dtype == np.bool_
    assert found.sum() == n_left


class LeftNeighbour(nn.Module):
    """The logit of each voxel is the image one voxel further along i, j and k: not mirrored."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images[:, :1].roll((1, 1, 1), (2, 3, 4)), images


@pytest.mark.parametrize(("flips", "n_ways"), [("none", 1), ("left-right", 2), ("all", 8)], ids=str)
def test_probabilities_are_the_mean_over_the_mirror_images(flips: str, n_ways: int) -> None:
    image = np.random.default_rng(4).normal(size=(1, 16, 16, 32)).astype(np.float32)
    brain = np.ones(image.shape[1:], bool)
    found = segment(LeftNeighbour(), case(image, brain), flair(f"inference.flips={flips}"))
    # mirrored, voxel 0 is the neighbour that is rolled in from the other side: a roll by -1
    rolls = [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)]
    rolls += [(-1, -1, 1), (-1, 1, -1), (1, -1, -1), (-1, -1, -1)]
    logits = [np.roll(image[0], roll, (0, 1, 2)) for roll in rolls[:n_ways]]
    expected = np.mean([1 / (1 + np.exp(-logit)) for logit in logits], axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-6)
