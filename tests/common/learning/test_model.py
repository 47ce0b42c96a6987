from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from common.learning.model import (
    HEAD,
    NETWORK,
    available_device,
    differences,
    has_site_head,
    initial_parameters,
    join,
    new_network,
    new_site_head,
    part,
    set_stage,
)
from common.learning.networks.cascade import Cascade
from common.learning.networks.site_head import SiteHead
from common.recipe.recipe import Recipe, load_recipe

UNIFORM = ('loss.site={name = "uniform", weight = 0.3}',)


def tiny(source: str, *overrides: str) -> Recipe:
    sizes = {
        "default": ["network.widths=[2, 2, 3, 4]"],
        "galassi2019": [],
        "fenneteau2021": ["network.features=2", "sampling.patch_shape=[8, 16, 8]"],
    }
    return load_recipe(source, overrides=[*sizes[source], *overrides])


@pytest.mark.parametrize(
    ("source", "patch", "n_outputs", "n_features"),
    [
        pytest.param("default", (2, 32, 64, 64), 1, 4, id="unet: its last width"),
        pytest.param("galassi2019", (2, 11, 11, 11), 1, 256, id="cascade: its dense layer"),
        pytest.param("fenneteau2021", (2, 8, 16, 8), 5, 4, id="siamese: both dates' features"),
    ],
)
def test_the_network_has_the_task_s_channels_and_outputs_and_a_head_fits_behind_it(
    source: str, patch: tuple[int, ...], n_outputs: int, n_features: int
) -> None:
    recipe = tiny(source, *UNIFORM)
    network = new_network(recipe).eval()
    head = new_site_head(recipe, network, 3)
    assert isinstance(head, SiteHead)
    with torch.no_grad():
        logits, bottleneck = network(torch.zeros(2, *patch))
        sites = head(bottleneck)
    assert logits.shape[:2] == (2, n_outputs)
    assert bottleneck.shape[1] == n_features
    assert sites.shape == (2, 3)
    assert sites.isfinite().all()


@pytest.mark.parametrize("source", ["default", "galassi2019", "fenneteau2021"])
def test_the_site_loss_reaches_the_network_through_the_head(source: str) -> None:
    recipe = tiny(source, *UNIFORM)
    network = new_network(recipe).train()
    head = new_site_head(recipe, network, 2)
    assert head is not None
    shape = {"default": (2, 32, 64, 64), "galassi2019": (2, 11, 11, 11)}.get(source, (2, 8, 16, 8))
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    head(network(images)[1]).square().sum().backward()
    reached = [name for name, p in network.named_parameters() if p.grad is not None]
    assert reached
    if source == "galassi2019":  # it answers, and learns, with its second network
        assert all(name.startswith("second.") for name in reached)


@pytest.mark.parametrize(
    ("site", "n_sites", "expected"),
    [("none", 3, False), ("uniform", 1, False), ("uniform", 2, True), ("pearson", 5, True)],
)
def test_a_head_needs_its_loss_and_two_sites(site: str, n_sites: int, expected: bool) -> None:
    recipe = tiny("default", f'loss.site={{name = "{site}", weight = 0.3}}')
    assert has_site_head(recipe, n_sites) == expected
    head = new_site_head(recipe, new_network(recipe), n_sites)
    assert (head is not None) == expected


def test_a_new_cascade_answers_with_both_networks_until_a_stage_is_set() -> None:
    network = new_network(tiny("galassi2019"))
    assert isinstance(network, Cascade)
    stages = [network.stage]
    for stage in ("first", "second", "first"):
        set_stage(network, "first" if stage == "first" else "second")
        stages.append(network.stage)
    assert stages == ["second", "first", "second", "first"]


def test_whole_leaves_a_cascade_and_any_other_network_as_it_is() -> None:
    cascade = new_network(tiny("galassi2019"))
    set_stage(cascade, "first")
    set_stage(cascade, "whole")
    assert isinstance(cascade, Cascade)
    assert cascade.stage == "first"
    unet = new_network(tiny("default"))
    set_stage(unet, "first")
    assert not hasattr(unet, "stage")


@pytest.mark.parametrize("source", ["default", "galassi2019", "fenneteau2021"])
def test_everyone_starts_from_the_same_parameters_and_another_seed_from_others(
    source: str,
) -> None:
    starts = [
        initial_parameters(tiny(source, *UNIFORM, f"seed={seed}"), n_sites=2) for seed in (1, 1, 2)
    ]
    first, again, other = starts
    assert all(np.array_equal(first[name], again[name]) for name in first)
    drawn = [name for name in first if name.endswith("weight") and first[name].std() > 0]
    assert all(not np.array_equal(first[name], other[name]) for name in drawn)


def test_network_and_head_travel_together_and_part_again() -> None:
    recipe = tiny("galassi2019", *UNIFORM)
    network = new_network(recipe)
    head = new_site_head(recipe, network, 2)
    joined = join(network, head)
    assert part(joined, NETWORK).keys() == network.state_dict().keys()
    assert head is not None
    assert part(joined, HEAD).keys() == head.state_dict().keys()
    assert len(joined) == len(network.state_dict()) + len(head.state_dict())
    assert set(join(network, None)) == {NETWORK + name for name in network.state_dict()}


def test_the_count_of_batches_is_a_difference_in_whole_numbers() -> None:
    before: dict[str, Any] = {"n": np.array(3), "w": np.array([1.5, -2.0], np.float32)}
    after: dict[str, Any] = {"n": np.array(7), "w": np.array([1.0, 2.0], np.float32)}
    change = differences(after, before)
    assert change["n"].dtype == np.int64
    assert change["n"].shape == ()
    assert change["n"] == 4
    np.testing.assert_array_equal(change["w"], [-0.5, 4.0])
    assert change["w"].dtype == np.float32


def test_a_model_is_used_on_the_cpu_where_there_is_no_other_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert available_device(tiny("default", "compute.device=cuda")) == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert available_device(tiny("default", "compute.device=cuda")) == "cuda"
    assert available_device(tiny("default")) == "cpu"
