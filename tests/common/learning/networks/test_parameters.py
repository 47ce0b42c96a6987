from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from common.errors import ModelFileError
from common.learning.model import new_network
from common.learning.networks.parameters import (
    load_parameters,
    parameters_of,
    running_statistics,
)
from common.recipe.recipe import load_recipe, shipped_recipes


def small_network(*, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Conv3d(2, 3, 3), nn.BatchNorm3d(3))
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload] # torch's stubs lack this form
    return network


def test_parameters_come_in_the_modules_order_with_their_dtypes_and_c_ordered() -> None:
    found = parameters_of(small_network(seed=0))
    assert list(found) == [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    ]
    assert found["0.weight"].shape == (3, 2, 3, 3, 3)
    assert found["0.weight"].dtype == np.float32
    assert found["0.weight"].flags.c_contiguous
    assert found["1.num_batches_tracked"].dtype == np.int64
    assert found["1.num_batches_tracked"].shape == ()


def test_parameters_are_copies_both_ways() -> None:
    module = small_network(seed=0)
    found = parameters_of(module)
    before = found["0.bias"].copy()
    found["0.bias"] += 1
    np.testing.assert_array_equal(parameters_of(module)["0.bias"], before)
    load_parameters(module, found)
    found["0.bias"] += 1
    np.testing.assert_array_equal(parameters_of(module)["0.bias"], before + 1)


def test_parameters_loaded_elsewhere_are_the_same_bit_for_bit() -> None:
    source, target = small_network(seed=0), small_network(seed=1)
    arrays = parameters_of(source)
    for array in arrays.values():
        array.flags.writeable = False
    load_parameters(target, arrays)
    for name, array in parameters_of(target).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_every_misfit_is_named_and_the_module_stays_as_it_was() -> None:
    module = small_network(seed=0)
    before = parameters_of(module)
    odd = parameters_of(small_network(seed=1))
    del odd["0.bias"]
    odd["head.weight"] = np.zeros(2, np.float32)
    odd["1.weight"] = np.zeros(4, np.float32)
    odd["1.bias"] = np.zeros(3, np.float64)
    with pytest.raises(ModelFileError) as caught:
        load_parameters(module, odd)
    text = str(caught.value)
    assert "0.bias: missing" in text
    assert "head.weight: unknown" in text
    assert "1.weight: want (3,) float32, got (4,) float32" in text
    assert "1.bias: want (3,) float32, got (3,) float64" in text
    for name, array in parameters_of(module).items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_running_statistics_are_those_of_every_batch_norm_and_nothing_else(
    name: str, norm: str
) -> None:
    network = new_network(load_recipe(name, overrides=[f"network.norm={norm}"]))
    expected = {
        f"{prefix}.running_mean": f"{prefix}.running_var"
        for prefix, layer in network.named_modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm)
    }
    assert running_statistics(parameters_of(network)) == expected
    assert bool(expected) == (norm == "batch")


def test_a_mean_without_its_variance_is_no_statistic() -> None:
    names = ["x.running_mean", "y.running_var", "z.running_mean", "z.running_var", "running_mean"]
    assert running_statistics(names) == {"z.running_mean": "z.running_var"}
