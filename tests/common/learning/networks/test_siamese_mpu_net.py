from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from common.errors import ConfigError
from common.learning.networks.siamese_mpu_net import SiameseMPUNet, build_siamese_mpu_net
from common.recipe.network import SiameseMPUNetSettings


def network(
    *,
    n_channels: int = 2,
    n_outputs: int = 5,
    features: int = 7,
    dropout: float = 0.0,
    checkpointing: bool = False,
    seed: int = 0,
) -> SiameseMPUNet:
    settings = SiameseMPUNetSettings(
        name="siamese-mpu-net", features=features, dropout=dropout, checkpointing=checkpointing
    )
    return build_siamese_mpu_net(settings, n_channels=n_channels, n_outputs=n_outputs, seed=seed)


def images(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def n_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_one_modality_and_five_outputs_have_the_parameters_and_convolutions_of_the_paper() -> None:
    paper = network()
    assert n_parameters(paper) == 40_465
    assert sum(isinstance(layer, nn.Conv3d) for layer in paper.modules()) == 28


def test_with_group_norm_a_patch_does_not_change_the_answer_for_another() -> None:
    settings = SiameseMPUNetSettings(name="siamese-mpu-net", norm="group", dropout=0.0)
    siamese = build_siamese_mpu_net(settings, n_channels=2, n_outputs=1, seed=0).double().train()
    pairs = images(2, 2, 8, 16, 16).double()
    together, _ = siamese(pairs)
    alone, _ = siamese(pairs[:1])
    np.testing.assert_allclose(together[:1].detach(), alone.detach(), atol=1e-12)
    assert list(siamese.buffers()) == []


@pytest.mark.parametrize(
    ("n_channels", "n_outputs", "expected"),
    [
        # the last convolution has 4 kernels and a bias for each output: 5 * 5 -> 1 * 5
        pytest.param(2, 1, 40_465 - 4 * 5, id="no rater"),
        pytest.param(2, 6, 40_465 + 5, id="five raters"),
        # one more modality: 27 more kernels for each of 7 features
        pytest.param(4, 5, 40_465 + 27 * 7, id="two modalities"),
    ],
)
def test_only_the_ends_change_with_modalities_and_raters(
    n_channels: int, n_outputs: int, expected: int
) -> None:
    assert n_parameters(network(n_channels=n_channels, n_outputs=n_outputs)) == expected


@pytest.mark.parametrize(("n_channels", "n_outputs"), [(2, 5), (2, 1), (4, 3)])
def test_logits_keep_the_patch_and_the_bottleneck_is_three_halvings_down(
    n_channels: int, n_outputs: int
) -> None:
    siamese = network(n_channels=n_channels, n_outputs=n_outputs, features=3)
    logits, bottleneck = siamese(images(2, n_channels, 16, 24, 8))
    assert logits.shape == (2, n_outputs, 16, 24, 8)
    assert bottleneck.shape == (2, 6, 2, 3, 1)
    assert siamese.n_bottleneck == 6


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_bottleneck_is_what_the_deepest_norm_is_given(checkpointing: bool) -> None:
    siamese = network(features=3, checkpointing=checkpointing)
    given: list[torch.Tensor] = []
    norm = siamese.encoder[-1][1][1]  # type: ignore[index] # a block's second unit
    norm.register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0]))
    bottleneck = siamese(images(2, 2, 16, 24, 8))[1]
    # the two dates stand beside each other in the batch, and in the bottleneck's features
    assert torch.equal(bottleneck, torch.cat(given[0].chunk(2), dim=1))


def test_the_same_block_reads_both_dates() -> None:
    siamese = network(n_channels=4, features=3).eval()
    earlier, later = images(1, 2, 16, 8, 24, seed=2), images(1, 2, 16, 8, 24, seed=3)
    _, in_order = siamese(torch.cat([earlier, later], dim=1))
    _, swapped = siamese(torch.cat([later, earlier], dim=1))
    np.testing.assert_allclose(in_order[:, :3].detach(), swapped[:, 3:].detach(), atol=1e-6)
    np.testing.assert_allclose(in_order[:, 3:].detach(), swapped[:, :3].detach(), atol=1e-6)
    assert not torch.allclose(in_order[:, :3], in_order[:, 3:])


def test_the_first_half_of_the_channels_is_the_earlier_date() -> None:
    siamese = network(n_channels=4, features=3).eval()
    both = images(1, 4, 16, 8, 24)
    _, before = siamese(both)
    both[:, 2:] += 1  # the later date alone
    _, after = siamese(both)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_the_order_of_the_dates_changes_the_answer() -> None:
    siamese = network(features=3).eval()
    both = images(1, 2, 16, 8, 24)
    assert not torch.allclose(siamese(both)[0], siamese(both.flip(1))[0])


def test_every_parameter_gets_a_gradient_but_the_biases_that_a_norm_takes_away() -> None:
    siamese = network(features=3, n_channels=4).double()
    siamese(images(2, 4, 16, 8, 24).double())[0].square().sum().backward()
    before_norm = {
        f"{name}.0.bias"
        for name, module in siamese.named_modules()
        if isinstance(module, nn.Sequential)
        and len(module) > 1
        and isinstance(module[1], nn.BatchNorm3d)
    }
    assert len(before_norm) == 27
    dead = {
        name
        for name, parameter in siamese.named_parameters()
        if parameter.grad is None or parameter.grad.abs().max() < 1e-9
    }
    assert dead == before_norm


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_checkpointing_gives_the_same_logits_gradients_and_running_statistics(
    dropout: float,
) -> None:
    plain = network(features=3, dropout=dropout)
    again = network(features=3, dropout=dropout, checkpointing=True)
    both = images(2, 2, 16, 8, 24)
    for siamese in (plain, again):
        torch.manual_seed(4)  # dropout draws from torch's global random numbers
        for _ in range(2):
            logits, bottleneck = siamese(both)
            (logits.square().mean() + bottleneck.mean()).backward()
    for (name, kept), computed in zip(plain.named_parameters(), again.parameters(), strict=True):
        assert kept.grad is not None
        assert computed.grad is not None
        np.testing.assert_allclose(kept.grad, computed.grad, rtol=1e-4, atol=1e-6, err_msg=name)
    for name, kept_buffer in plain.named_buffers():
        np.testing.assert_allclose(kept_buffer, again.get_buffer(name), rtol=1e-6, err_msg=name)
    # two passes, counted once each
    assert again.get_buffer("refinement.1.1.num_batches_tracked") == 2
    torch.manual_seed(5)
    expected = plain(both)[0]
    torch.manual_seed(5)
    np.testing.assert_allclose(again(both)[0].detach(), expected.detach(), rtol=1e-5, atol=1e-6)


def test_checkpointing_keeps_fewer_activations() -> None:
    held = {}
    for checkpointing in (False, True):
        siamese = network(features=3, dropout=0.1, checkpointing=checkpointing)
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor, kept: dict[int, int] = kept) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            siamese(images(2, 2, 16, 16, 16))
        held[checkpointing] = sum(kept.values())
    assert held[True] < held[False] / 2


def test_dropout_is_on_in_training_and_off_in_evaluation() -> None:
    siamese = network(features=3, dropout=0.5)
    both = images(1, 2, 8, 8, 8)
    assert not torch.equal(siamese(both)[0], siamese(both)[0])
    siamese.eval()
    assert torch.equal(siamese(both)[0], siamese(both)[0])


def test_same_seed_same_parameters_and_the_global_random_numbers_stay() -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    first = network(seed=7).state_dict()
    again = network(seed=7).state_dict()
    other = network(seed=8).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["last.weight"], other["last.weight"])


def test_a_patch_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(56, 60, 56\): want three multiples of 8"):
        network()(torch.zeros(1, 2, 56, 60, 56))


def test_channels_that_are_not_two_dates_are_refused() -> None:
    with pytest.raises(ConfigError, match="compares two dates of the same modalities, got 3"):
        network(n_channels=3)


def test_before_training_every_output_says_a_twentieth_everywhere() -> None:
    images = torch.randn(2, 2, 16, 16, 24, generator=torch.Generator().manual_seed(3))
    probability = torch.sigmoid(network().eval()(images)[0])
    assert probability.shape[1] > 1
    # its weights are a fiftieth of what was drawn, so no output is far from the bias's 0.05
    assert probability.min() > 0.02
    assert probability.max() < 0.12
