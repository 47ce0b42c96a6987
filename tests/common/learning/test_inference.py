from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from common.arrays import Float32Array
from common.learning.networks.unet import build_unet
from common.learning.segmentation import lesion_probability
from common.recipe.network import UNetSettings

Blend = Literal["gaussian", "mean"]


class VoxelWise(nn.Module):
    """A rater who says 3 everywhere, then the consensus: twice the first channel minus the second,
    minus 1."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        lesion = 2 * images[:, 0] - images[:, 1] - 1
        return torch.stack([torch.full_like(lesion, 3), lesion], dim=1), images


class PatchMean(nn.Module):
    """The same answer for a whole patch, so that overlaps show."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        lesion = images.mean(dim=(1, 2, 3, 4), keepdim=True).expand(-1, 1, *images.shape[2:])
        return lesion, images


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((17, 9, 23), id="larger than a patch, not a multiple"),
        pytest.param((5, 20, 3), id="smaller along two axes"),
        pytest.param((8, 8, 4), id="a patch exactly"),
    ],
)
@pytest.mark.parametrize("blend", ["gaussian", "mean"])
def test_each_voxel_keeps_its_place_and_gets_the_sigmoid_of_the_last_output(
    shape: tuple[int, int, int], blend: Blend
) -> None:
    image = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    found = lesion_probability(
        VoxelWise(), image, patch_shape=(8, 8, 4), overlap=0.5, blend=blend, device="cpu"
    )
    # sigmoid of z - 1: 1 / (1 + exp(1 - z))
    expected = 1 / (1 + np.exp(1 - (2.0 * image[0] - image[1])))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def two_patches(blend: Blend) -> Float32Array:
    """Along i: 6 voxels, patches of 4 at 0 and 2; the image is 0 but for a 4 in the last slice.

    So the patch means are 0 and 1, and probabilities 1/2 and 1 / (1 + 1/e) = 0.7310586.
    """
    image = np.zeros((1, 6, 4, 4), np.float32)
    image[:, 5] = 4
    return lesion_probability(
        PatchMean(), image, patch_shape=(4, 4, 4), overlap=0.5, blend=blend, device="cpu"
    )


def test_overlapping_patches_are_averaged_alike() -> None:
    found = two_patches("mean")
    np.testing.assert_allclose(found[:2], 0.5, atol=1e-6)
    np.testing.assert_allclose(found[2:4], (0.5 + 0.7310586) / 2, atol=1e-6)
    np.testing.assert_allclose(found[4:], 0.7310586, atol=1e-6)


def test_three_patches_over_one_voxel_are_averaged_alike() -> None:
    # along i: 7 voxels, patches of 4, overlap 0.75: a step of 1, at 0, 1, 2, 3; the image is 4 in
    # slice 6, so only the patch at 3 has mean 1. Slice 3 lies in all four: (3 * 0.5 + p) / 4;
    # slice 4 in those at 1, 2, 3; slice 5 in those at 2, 3
    image = np.zeros((1, 7, 4, 4), np.float32)
    image[:, 6] = 4
    found = lesion_probability(
        PatchMean(), image, patch_shape=(4, 4, 4), overlap=0.75, blend="mean", device="cpu"
    )
    p = 0.7310586
    by_slice = [0.5, 0.5, 0.5, (1.5 + p) / 4, (1 + p) / 3, (0.5 + p) / 2, p]
    np.testing.assert_allclose(found[:, 1, 2], by_slice, atol=1e-6)


def test_overlapping_patches_are_averaged_by_weights_that_fall_from_their_centres() -> None:
    found = two_patches("gaussian")
    np.testing.assert_allclose(found[:2], 0.5, atol=1e-6)
    np.testing.assert_allclose(found[4:], 0.7310586, atol=1e-6)
    # slice 2 lies nearer the first patch's centre (1.5) than the second's (3.5); at the corners
    # both weights are at their floor
    assert (found[2] <= found[3]).all()
    assert found[2, 1, 1] < 0.55 < 0.68 < found[3, 1, 1]
    np.testing.assert_allclose(found[2] + found[3], 0.5 + 0.7310586, atol=1e-6)


def test_the_network_works_in_evaluation_mode_and_is_handed_back_as_it_was() -> None:
    settings = UNetSettings(name="unet", widths=(4, 4, 4, 4, 4), norm="group", dropout=0.5)
    network = build_unet(settings, n_channels=1, n_outputs=1, seed=0).train()
    image = np.random.default_rng(1).normal(size=(1, 20, 16, 16)).astype(np.float32)
    first, again = (
        lesion_probability(
            network,
            image,
            patch_shape=(16, 16, 16),
            overlap=0.25,
            blend="gaussian",
            device="cpu",
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    assert network.training


def test_a_memory_mapped_image_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.zeros((2, 4, 5, 6), np.float32))
    image = np.load(tmp_path / "image.npy", mmap_mode="r", allow_pickle=False)
    found = lesion_probability(
        VoxelWise(), image, patch_shape=(4, 4, 4), overlap=0, blend="gaussian", device="cpu"
    )
    np.testing.assert_allclose(found, 1 / (1 + np.e), atol=1e-6)
