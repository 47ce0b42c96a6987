from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from common.errors import ConfigError
from common.learning.networks.unet import UNet, UNetUnit, build_unet
from common.recipe.network import UNetSettings

WIDTHS = (4, 4, 8, 8, 16)


def settings(
    *,
    first_stride: Literal[1, 2] = 1,
    norm: Literal["instance", "group", "batch"] = "group",
    dropout: float = 0.0,
    widths: tuple[int, ...] = WIDTHS,
    first_probability: float = 0.5,
    full_resolution: bool = False,
) -> UNetSettings:
    return UNetSettings(
        name="unet",
        widths=widths,
        first_stride=first_stride,
        norm=norm,
        dropout=dropout,
        first_probability=first_probability,
        full_resolution=full_resolution,
    )


def built(settings: UNetSettings, *, n_channels: int, seed: int, n_outputs: int = 1) -> UNet:
    return build_unet(settings, n_channels=n_channels, n_outputs=n_outputs, seed=seed)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize(
    ("first_stride", "bottleneck_shape"),
    [
        pytest.param(1, (2, 3, 1), id="32 / 16, 48 / 16, 16 / 16"),
        pytest.param(2, (1, 2, 1), id="32 / 32, 64 / 32, 32 / 32"),
    ],
)
def test_logits_keep_the_patch_and_the_bottleneck_is_four_halvings_down(
    first_stride: Literal[1, 2], bottleneck_shape: tuple[int, int, int], n_outputs: int
) -> None:
    patch = (32, 48, 16) if first_stride == 1 else (32, 64, 32)
    network = built(settings(first_stride=first_stride), n_channels=3, n_outputs=n_outputs, seed=0)
    logits, bottleneck = network(torch.zeros(2, 3, *patch))
    assert logits.shape == (2, n_outputs, *patch)
    assert bottleneck.shape == (2, 16, *bottleneck_shape)
    assert network.n_bottleneck == 16


@pytest.mark.parametrize(
    ("widths", "first_stride", "multiple"),
    [
        pytest.param((4, 4, 8, 16), 1, 8, id="three halvings"),
        pytest.param((4, 4, 8, 16), 2, 16, id="a stride and three halvings"),
        pytest.param((4, 4, 8, 8, 16), 2, 32, id="a stride and four halvings"),
    ],
)
def test_the_bottleneck_of_the_smallest_patch_is_one_voxel(
    widths: tuple[int, ...], first_stride: Literal[1, 2], multiple: int
) -> None:
    chosen = settings(widths=widths, first_stride=first_stride)
    assert chosen.patch_multiple == multiple
    network = built(chosen, n_channels=1, seed=0)
    logits, bottleneck = network(torch.zeros(1, 1, multiple, 2 * multiple, multiple))
    assert logits.shape == (1, 1, multiple, 2 * multiple, multiple)
    assert bottleneck.shape == (1, 16, 1, 2, 1)


def test_the_bottleneck_is_what_the_deepest_norm_is_given() -> None:
    network = built(settings(norm="instance"), n_channels=1, seed=0)
    given: list[torch.Tensor] = []
    norm = network.down[-1][-1][1]  # type: ignore[index] # a sequence of units
    norm.register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0]))
    images = torch.randn(2, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    bottleneck = network(images)[1]
    assert torch.equal(bottleneck, given[0])
    # behind instance norm every mean over space would be 0
    assert bottleneck.flatten(2).mean(dim=2).abs().min() > 1e-4


def test_an_output_is_its_lesion_class_minus_its_background() -> None:
    network = built(settings(), n_channels=1, n_outputs=2, seed=0)
    assert isinstance(network.last, torch.nn.Conv3d)
    assert network.last.bias is not None
    with torch.no_grad():
        network.last.weight.zero_()
        network.last.bias.copy_(torch.tensor([1.0, 4.0, 7.0, 5.0]))
    logits, _ = network(torch.zeros(1, 1, 16, 16, 32))
    # background 1, lesion 4: +3; background 7, lesion 5: -2
    np.testing.assert_allclose(logits[0, 0].detach(), 3)
    np.testing.assert_allclose(logits[0, 1].detach(), -2)


@pytest.mark.parametrize("first_stride", [1, 2])
@pytest.mark.parametrize("norm", ["instance", "group", "batch"])
def test_every_parameter_gets_a_gradient(
    first_stride: Literal[1, 2], norm: Literal["instance", "group", "batch"]
) -> None:
    side = 32 * first_stride
    network = built(settings(first_stride=first_stride, norm=norm), n_channels=1, seed=0)
    images = torch.randn(1, 1, side, 32, 32, generator=torch.Generator().manual_seed(1))
    network(images)[0].square().sum().backward()
    dead = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert dead == []


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_one_patch_does_not_change_the_answer_for_another(
    norm: Literal["instance", "group"],
) -> None:
    network = built(settings(norm=norm), n_channels=1, seed=0).double()
    images = torch.randn(2, 1, 32, 16, 32, generator=torch.Generator().manual_seed(2)).double()
    together, _ = network(images)
    alone, _ = network(images[:1])
    np.testing.assert_allclose(together[:1].detach(), alone.detach(), atol=1e-9)


def test_instance_norm_gives_every_feature_mean_0_and_variance_1() -> None:
    unit = UNetUnit(1, 3, settings(norm="instance"))
    normed = unit[1](5 + 2 * torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(3)))
    by_feature = normed.detach().numpy().reshape(6, -1)
    np.testing.assert_allclose(by_feature.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(by_feature.std(axis=1), 1, atol=1e-4)


def test_group_norm_divides_widths_that_four_does_not_divide() -> None:
    # gcd(4, 6) = 2 groups, gcd(4, 5) = 1, gcd(4, 9) = 1
    network = built(settings(widths=(6, 5, 4, 4, 9)), n_channels=1, seed=0)
    assert network(torch.zeros(1, 1, 16, 16, 16))[0].isfinite().all()


def test_same_seed_same_parameters_and_another_seed_others() -> None:
    first = built(settings(), n_channels=2, seed=7).state_dict()
    again = built(settings(), n_channels=2, seed=7).state_dict()
    other = built(settings(), n_channels=2, seed=8).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["first.0.weight"], other["first.0.weight"])


def test_building_leaves_the_global_random_numbers_where_they_were() -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    built(settings(), n_channels=2, seed=7)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_kernels_start_with_the_spread_of_he_for_their_rectifier() -> None:
    network = built(settings(widths=(32, 32, 32, 32, 32)), n_channels=2, seed=0)
    # fan-in 32 * 27 = 864, slope 0.1: variance 2 / (1.01 * 864) = 0.0022919, std 0.047874;
    # 27,648 numbers estimate it to 0.4 %
    kernel = network.state_dict()["down.1.1.0.weight"]
    assert kernel.std().item() == pytest.approx(0.047874, rel=0.02)
    # a transposed kernel of side and stride 2: each output sums 32 inputs, std sqrt(2 / 1.01 / 32)
    assert network.state_dict()["up.0.enlarge.weight"].std().item() == pytest.approx(
        0.24876, rel=0.03
    )


def test_dropout_is_on_in_training_and_off_in_evaluation() -> None:
    network = built(settings(dropout=0.5), n_channels=1, seed=0)
    images = torch.ones(1, 1, 16, 16, 16)
    network.train()
    assert not torch.equal(network(images)[0], network(images)[0])
    network.eval()
    assert torch.equal(network(images)[0], network(images)[0])


def test_a_strided_network_can_tell_two_voxels_of_one_block_apart() -> None:
    network = built(settings(first_stride=2), n_channels=1, seed=0).eval()
    logits = network(torch.ones(1, 1, 32, 32, 32))[0]
    assert not torch.equal(logits[0, :, 10, 10, 10], logits[0, :, 11, 10, 10])


def test_a_patch_that_cannot_be_halved_is_refused() -> None:
    network = built(settings(first_stride=2), n_channels=1, seed=0)
    with pytest.raises(ConfigError, match=r"\(48, 32, 32\): want three multiples of 32"):
        network(torch.zeros(1, 1, 48, 32, 32))


def test_before_training_lesion_has_the_probability_the_recipe_says() -> None:
    images = torch.zeros(1, 1, 32, 32, 32)  # no image: only the last bias is left
    rare = built(settings(first_probability=0.02), n_channels=1, n_outputs=2, seed=0)
    even = built(settings(), n_channels=1, seed=0)
    assert torch.sigmoid(rare.eval()(images)[0]).detach().numpy() == pytest.approx(0.02, abs=1e-6)
    assert torch.sigmoid(even.eval()(images)[0]).detach().numpy() == pytest.approx(0.5, abs=1e-6)


def test_with_full_resolution_one_voxel_can_be_told_from_its_neighbour() -> None:
    patch = torch.zeros(1, 2, 32, 32, 32)
    patch[0, 0, 16, 16, 16] = 5
    network = built(
        settings(first_stride=2, widths=(4, 4, 8, 8), full_resolution=True, first_probability=0.02),
        n_channels=2,
        n_outputs=3,
        seed=0,
    ).eval()
    logits, bottleneck = network(patch)
    assert logits.shape == (1, 3, 32, 32, 32)
    assert bottleneck.shape == (1, 8, 2, 2, 2)
    assert (logits - logits.mean()).abs().max() > 0
    # log(0.02 / 0.98) = -3.89: the lesion class starts there on average
    assert abs(float(logits.detach().mean()) + 3.89) < 1.5
    names = {name.partition(".")[0] for name, _ in network.named_parameters()}
    assert {"full", "up_to_full"} <= names


def test_without_full_resolution_the_parameters_are_those_of_before() -> None:
    network = built(settings(first_stride=2), n_channels=1, seed=0)
    names = {name.partition(".")[0] for name, _ in network.named_parameters()}
    assert names == {"stem", "first", "down", "up", "last"}
