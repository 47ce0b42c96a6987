from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from common.learning.losses.moment_alignment import gaussian_divergence, moments_with_memory


def of(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_divergence_is_kullback_s_and_leibler_s() -> None:
    # m = 1, v = 2 from u = -1, w = 4: (log 2 + (2 + 4) / 4 - 1) / 2; the second feature agrees: 0
    found = gaussian_divergence(of(1, 3), of(2, 5), wanted_mean=of(-1, 3), wanted_variance=of(4, 5))
    assert found.item() == pytest.approx((math.log(2) + 0.5) / 2 / 2)


def test_the_memory_counts_in_the_values_and_not_in_the_gradient() -> None:
    batch = torch.tensor([[1.0], [5.0]], dtype=torch.float64, requires_grad=True)
    memory = torch.tensor([[-2.0], [0.0], [1.0]], dtype=torch.float64)
    mean, variance = moments_with_memory(batch, memory)
    # (1 + 5 - 2 + 0 + 1) / 5 = 1; squares of 0, 4, -3, -1, 0: 26 / 5
    assert mean.item() == pytest.approx(1)
    assert variance.item() == pytest.approx(26 / 5)
    loss = gaussian_divergence(mean, variance, wanted_mean=of(-1), wanted_variance=of(4))
    loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    # dL/dm = (m - u) / w = 1/2, dL/dv = (1/w - 1/v) / 2 = (1/4 - 5/26) / 2 = 3/104
    # dm/dx = 1/2 for each of the batch of two, dv/dx = 2 (x - m) / 2 = x - 1: 0 and 4
    assert batch.grad is not None
    np.testing.assert_allclose(batch.grad[:, 0], [0.25, 0.25 + 4 * 3 / 104])


def test_a_small_spread_far_from_0_keeps_its_variance_in_float32() -> None:
    rows = torch.tensor([[1000.0], [1000.5]])
    mean, variance = moments_with_memory(rows, rows[:0])
    assert mean.item() == 1000.25
    assert variance.item() == pytest.approx(0.0625)
