from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from common.arrays import Float32Array, FloatArray, IndexArray
from common.learning.exact_patches import BLOCK_SIDE, probabilities_at
from common.learning.networks.cascade import PatchCNN, build_cascade
from common.recipe.network import CascadeSettings
from tests.patch_networks import drawn_network, sees_bright_voxels

Shape = tuple[int, int, int]


def drawn_image(n_channels: int, shape: Shape, *, seed: int = 0) -> Float32Array:
    random = np.random.default_rng(seed)
    return random.standard_normal((n_channels, *shape)).astype(np.float32)


def patch_by_patch(network: PatchCNN, image: Float32Array, voxels: IndexArray) -> FloatArray:
    """In float64, so that only our own rounding is seen."""
    padded = np.pad(image.astype(np.float64), ((0, 0), (5, 5), (5, 5), (5, 5)))
    patches = [padded[:, i : i + 11, j : j + 11, k : k + 11] for i, j, k in voxels]
    with torch.inference_mode():
        logits, _ = copy.deepcopy(network).double().eval()(torch.from_numpy(np.stack(patches)))
    found: FloatArray = torch.sigmoid(logits[:, 0]).numpy()
    return found


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("n_channels", "shape"),
    [
        pytest.param(1, (9, 13, 16), id="smaller than a patch along one axis"),
        pytest.param(2, (17, 12, 23), id="odd and even"),
        pytest.param(3, (2 * BLOCK_SIDE + 1, 7, 6), id="three blocks"),
    ],
)
def test_it_gives_what_each_patch_gives_by_itself(n_channels: int, shape: Shape, seed: int) -> None:
    network = drawn_network(n_channels=n_channels, seed=seed)
    image = drawn_image(n_channels, shape)
    corners = np.stack(np.meshgrid(*[[0, 1, n - 2, n - 1] for n in shape]), axis=-1).reshape(-1, 3)
    inner = np.random.default_rng(seed).integers(shape, size=(400, 3))
    voxels = np.concatenate([corners, inner])
    expected = patch_by_patch(network, image, voxels)
    assert expected.std() > 0.2, "else the network has nothing to get wrong"
    found = probabilities_at(network, image, voxels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_with_group_norm_too_it_gives_what_each_patch_gives_by_itself() -> None:
    settings = CascadeSettings(name="cascade", norm="group")
    network = build_cascade(settings, n_channels=2, n_outputs=1, seed=3).first
    image = drawn_image(2, (9, 13, 16))
    voxels = np.random.default_rng(4).integers((9, 13, 16), size=(300, 3))
    expected = patch_by_patch(network, image, voxels)
    assert expected.std() > 0.05, "else the network has nothing to get wrong"
    assert network.training
    np.testing.assert_allclose(probabilities_at(network, image, voxels), expected, atol=1e-5)
    assert network.training, "it is left as it is"


def test_what_lies_beyond_a_patch_does_not_matter() -> None:
    # a fully convolutional pass would see the changed voxels through its second padding
    network = drawn_network(n_channels=1, seed=2)
    image = drawn_image(1, (13, 13, 13))
    changed = image.copy()
    changed[:, 0], changed[:, -1] = 5, -5
    centre = np.array([[6, 6, 6]])  # its patch is 1 to 11
    np.testing.assert_array_equal(
        probabilities_at(network, image, centre), probabilities_at(network, changed, centre)
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_bright_voxel_counts_from_five_before_the_centre_to_two_after_it(axis: int) -> None:
    network = sees_bright_voxels(n_channels=2, logit=0.5, bias=-1.0)
    image = np.zeros((2, 15, 16, 17), np.float32)
    image[0, 7, 7, 7] = 3
    voxels = np.full((15, 3), 7)
    voxels[:, axis] = np.arange(15)
    # the centre at c sees the voxel 7 - c after it: -5 to 2, so c from 5 to 12;
    # there the logit is 0.5 * 3 - 1 = 0.5, elsewhere -1
    logits = np.where((np.arange(15) >= 5) & (np.arange(15) <= 12), 0.5, -1.0)
    found = probabilities_at(network, image, voxels)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_a_networks_mode_does_not_matter_and_nothing_is_changed() -> None:
    network = drawn_network(n_channels=2, seed=3)
    image = drawn_image(2, (8, 9, 10))
    voxels = np.argwhere(image[0] > 1)
    before = image.copy()
    evaluated = probabilities_at(network, image, voxels)
    network.train()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    np.testing.assert_array_equal(probabilities_at(network, image, voxels), evaluated)
    assert network.training
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    np.testing.assert_array_equal(image, before)


def test_no_voxels_no_probabilities() -> None:
    network = drawn_network(n_channels=1, seed=4)
    found = probabilities_at(network, drawn_image(1, (5, 5, 5)), np.empty((0, 3), np.intp))
    assert found.shape == (0,)


@pytest.mark.gpu
def test_a_gpu_gives_the_same() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    network = drawn_network(n_channels=2, seed=5)
    image = drawn_image(2, (30, 31, 32))
    voxels = np.argwhere(image[0] > 1)
    np.testing.assert_allclose(
        probabilities_at(network, image, voxels, device="cuda"),
        patch_by_patch(network, image, voxels),
        rtol=0,
        atol=1e-5,
    )
