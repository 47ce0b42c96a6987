from __future__ import annotations

import pytest
import torch
from torch import nn

from common.learning.proximal import ProximalPull


def number(value: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(value))


def test_the_pull_is_mu_times_the_way_gone_and_its_penalty_half_the_square() -> None:
    a, b = number(1.0), number(2.0)
    pull = ProximalPull([a, b], 4.0)
    with torch.no_grad():
        a.sub_(0.5)
        b.add_(3.0)
    (a - 7 * b).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    # 4 / 2 * (1/4 + 9); on the gradients 1 + 4 * -1/2 and -7 + 4 * 3
    assert pull.add() == pytest.approx(18.5)
    assert a.grad is not None
    assert b.grad is not None
    assert [float(a.grad), float(b.grad)] == pytest.approx([-1, 5])


def test_a_part_that_does_not_train_stays_without_a_gradient() -> None:
    a, frozen = number(1.0), number(2.0)
    pull = ProximalPull([a, frozen], 4.0)
    with torch.no_grad():
        frozen.add_(1.0)
    (2 * a).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    assert pull.add() == 0
    assert frozen.grad is None


def test_without_mu_nothing_pulls() -> None:
    a = number(1.0)
    pull = ProximalPull([a], 0.0)
    with torch.no_grad():
        a.add_(1.0)
    (2 * a).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    assert pull.add() == 0
    assert a.grad is not None
    assert float(a.grad) == 2
