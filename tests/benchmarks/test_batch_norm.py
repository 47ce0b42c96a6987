"""What the comparison of norms compares."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmarks.batch_norm import AveragedStatistics, aggregated_as, changes, over_seeds
from common.learning.model import new_network
from common.learning.networks.parameters import load_parameters, parameters_of
from common.recipe.recipe import load_recipe
from common.wire.field_types import Arrays
from server.aggregation.apply_update import apply_update
from server.aggregation.registry import AGGREGATIONS
from server.aggregation.weighted_mean import WeightedMean
from tests.patch_networks import BrainCase


def test_the_row_averaged_leaves_out_the_variance_between_sites_and_only_inside() -> None:
    like: Arrays = {"n.running_mean": np.zeros(1), "n.running_var": np.zeros(1)}
    with aggregated_as("averaged"):
        aggregate = AGGREGATIONS["weighted-mean"](like)
    assert isinstance(aggregate, AveragedStatistics)
    assert AGGREGATIONS["weighted-mean"] is WeightedMean
    for mean, variance in ((-2.0, 5.0), (6.0, 1.0)):
        change = {"n.running_mean": np.array([mean]), "n.running_var": np.array([variance])}
        aggregate.accumulate("lyon", change, 1.0)
    assert aggregate.result() == {"n.running_mean": [2.0], "n.running_var": [3.0]}


def test_recalibrated_statistics_are_those_of_all_batches_together() -> None:
    overrides = ["network.features=2", "sampling.patch_shape=[8, 8, 16]", "sampling.batch_size=4"]
    recipe = load_recipe("fenneteau2021", scale="small", overrides=overrides)
    random = np.random.default_rng(0)
    shape = (16, 16, 20)
    image = 3 + random.standard_normal((2, *shape)).astype(np.float32)
    case = BrainCase(image, np.ones(shape, bool), random.random(shape) > 0.9)
    network = new_network(recipe)
    start = parameters_of(network)
    first = next(layer for layer in network.modules() if isinstance(layer, nn.BatchNorm3d))
    seen: list[torch.Tensor] = []
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    aggregate = WeightedMean(start)
    for change in changes(network, [case], recipe, "whole", n_batches=3, seed=1):
        aggregate.accumulate("lyon", change, 1.0)
    load_parameters(network, apply_update(start, aggregate.result()))
    by_feature = torch.cat(seen).transpose(0, 1).flatten(1).double()
    assert first.running_mean is not None
    assert first.running_var is not None
    np.testing.assert_allclose(first.running_mean, by_feature.mean(dim=1), rtol=1e-4, atol=1e-5)
    # torch's variance of a batch of 8192 divides by one less
    np.testing.assert_allclose(first.running_var, by_feature.var(dim=1), rtol=1e-3)
    assert all(
        np.array_equal(start[k], v) for k, v in parameters_of(network).items() if ".weight" in k
    )


def test_seeds_are_shown_with_their_spread_and_one_without() -> None:
    # mean 0.4, standard deviation sqrt((0.01 + 0.01) / 1)
    assert over_seeds([{"dice": 0.3}, {"dice": 0.5}, {"dice": None}], "dice") == "0.400 ± 0.141"
    assert over_seeds([{"dice": 0.3}], "dice") == "0.300"
    assert over_seeds([{"dice": None}], "dice") == "undefined"
