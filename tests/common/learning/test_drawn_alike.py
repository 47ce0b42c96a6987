from __future__ import annotations

import numpy as np
import pytest
import torch

from common.learning.drawn_alike import DrawnAlike
from common.wire.feature_summary import FeatureSummary


def alike(mean: float, variance: float) -> FeatureSummary:
    return FeatureSummary(mean=(mean,), variance=(variance,))


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None]


def test_training_patches_get_the_mean_and_deviation_of_patches_drawn_alike() -> None:
    # site 0: mean 3, deviation 2 -> mean -1, deviation 1; site 1: mean 0, deviation 1 -> 10, 3
    training = column(1, 5, -1, 1)
    sites = torch.tensor([0, 0, 1, 1])
    map_ = DrawnAlike(training, sites, {0: alike(-1, 1), 1: alike(10, 9)})
    moved = map_(training, sites)
    np.testing.assert_allclose(moved[:, 0], [-2, 0, 7, 13], rtol=1e-3)
    # the map is fixed: what the encoder changes afterwards shows
    np.testing.assert_allclose(map_(column(7), torch.tensor([0])), [[1]], rtol=1e-3)


def test_space_is_averaged_and_the_gradient_passes_stretched() -> None:
    map_ = DrawnAlike(column(1, 5), torch.tensor([0, 0]), {0: alike(0, 1)})
    bottleneck = torch.zeros(1, 1, 2, 1, 2, requires_grad=True)
    map_(bottleneck, torch.tensor([0])).sum().backward()  # type: ignore[no-untyped-call] # untyped
    assert bottleneck.grad is not None
    # a fourth of a voxel's value, times 1 / 2
    np.testing.assert_allclose(bottleneck.grad, np.full((1, 1, 2, 1, 2), 0.125), rtol=1e-3)


@pytest.mark.parametrize(
    ("training", "variance", "expected"),
    [
        pytest.param((4, 4), 1.0, 10.0, id="no spread at all: stretched tenfold at most"),
        pytest.param((-100, 100), 1e-4, 0.1, id="shrunk tenfold at most"),
        pytest.param((3,), 1.0, 1.0, id="one patch has no deviation: as it is"),
    ],
)
def test_the_stretch_has_bounds(
    training: tuple[float, ...], variance: float, expected: float
) -> None:
    sites = torch.zeros(len(training), dtype=torch.int64)
    map_ = DrawnAlike(column(*training), sites, {0: alike(0, variance)})
    low, high = map_(column(0, 1), torch.tensor([0, 0]))
    assert float(high - low) == pytest.approx(expected, rel=1e-5)
