from __future__ import annotations

import math

import pytest
import torch

from common.errors import ConfigError
from common.learning.networks.cascade import Cascade, PatchCNN, build_cascade
from common.recipe.network import CascadeSettings


def cascade(*, n_channels: int = 2, dropout: float = 0.5, seed: int = 0) -> Cascade:
    settings = CascadeSettings(name="cascade", dropout=dropout)
    return build_cascade(settings, n_channels=n_channels, n_outputs=1, seed=seed)


def patches(n: int, *, n_channels: int = 2) -> torch.Tensor:
    return torch.randn(n, n_channels, 11, 11, 11, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("n_channels", "expected"),
    [
        # kernels 32 * 27 * C and 64 * 32 * 27 = 55,296; norms 2 * 32 and 2 * 64;
        # dense 512 * 256 + 256 = 131,328 and 256 * 2 + 2 = 514
        pytest.param(2, 189_058, id="the paper's: 1,728 + 55,296 + 192 + 131,328 + 514"),
        pytest.param(1, 188_194, id="one channel: 864 fewer"),
    ],
)
def test_a_network_has_the_papers_number_of_parameters(n_channels: int, expected: int) -> None:
    network = PatchCNN(CascadeSettings(name="cascade"), n_channels=n_channels)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == expected


def test_group_norm_has_as_many_parameters_and_no_statistics() -> None:
    network = PatchCNN(CascadeSettings(name="cascade", norm="group"), n_channels=2)
    assert sum(p.numel() for p in network.parameters()) == 189_058
    assert list(network.buffers()) == []


def test_a_patch_gives_one_logit_and_256_features() -> None:
    logits, bottleneck = cascade()(patches(3))
    assert logits.shape == (3, 1)
    assert bottleneck.shape == (3, 256) == (3, cascade().n_bottleneck)
    assert bool((bottleneck >= 0).all())


def test_the_logits_sigmoid_is_the_softmax_of_the_two_classes() -> None:
    network = PatchCNN(CascadeSettings(name="cascade", dropout=0.0), n_channels=1).eval()
    with torch.no_grad():
        network.dense_2.weight.zero_()
        network.dense_2.bias.copy_(torch.tensor([0.5, 2.0]))  # background, lesion
    logits, _ = network(patches(1, n_channels=1))
    # softmax: e^2 / (e^0.5 + e^2) = 1 / (1 + e^-1.5)
    assert torch.sigmoid(logits).item() == pytest.approx(1 / (1 + math.exp(-1.5)))


def test_the_stage_says_which_network_answers() -> None:
    both = cascade().eval()
    images = patches(2)
    first = both(images)[0]
    assert torch.equal(first, both.first(images)[0])
    both.stage = "second"
    second = both(images)[0]
    assert torch.equal(second, both.second(images)[0])
    assert not torch.equal(first, second)


def test_only_the_stages_network_learns() -> None:
    both = cascade()
    both.stage = "second"
    both(patches(4))[0].sum().backward()
    assert all(p.grad is None for p in both.first.parameters())
    assert all(p.grad is not None for p in both.second.parameters())


def test_dropout_is_on_in_training_alone() -> None:
    both = cascade().train()
    images = patches(8)
    assert not torch.equal(both(images)[0], both(images)[0])
    both.eval()
    assert torch.equal(both(images)[0], both(images)[0])


def test_same_seed_same_parameters_and_two_networks_that_differ() -> None:
    first, again, other = cascade(seed=3), cascade(seed=3), cascade(seed=4)
    assert all(torch.equal(value, again.state_dict()[k]) for k, value in first.state_dict().items())
    assert not torch.equal(first.first.conv_1.weight, other.first.conv_1.weight)
    assert not torch.equal(first.first.conv_1.weight, first.second.conv_1.weight)


def test_building_leaves_the_global_random_numbers_where_they_were() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    cascade()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_other_patches_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(11, 11, 13\): the cascade wants \(11, 11, 11\)"):
        cascade()(torch.zeros(1, 2, 11, 11, 13))


def test_several_raters_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"'cascade' with 3 outputs: .*Set task.raters to 0"):
        build_cascade(CascadeSettings(name="cascade"), n_channels=2, n_outputs=3, seed=0)
