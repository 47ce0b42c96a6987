from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from common.learning.losses.site_loss import confusion, pearson, random, site_loss, uniform


def log_of(probabilities: list[list[float]]) -> torch.Tensor:
    """Logits whose softmax is `probabilities`; 5 is added, which a softmax must ignore."""
    return torch.log(torch.tensor(probabilities, dtype=torch.float64)) + 5


@pytest.mark.parametrize(
    ("probabilities", "site_index", "expected"),
    [
        pytest.param([0.9998, 0.0001, 0.0001], 0, 1.0, id="sure and right"),
        pytest.param([0.5, 0.0001, 0.4999], 1, -1.0, id="never its own site"),
        # p - 1/3 = (1, 7, -8) / 30, t - 1/3 = (-1, 2, -1) / 3
        # sum of products 21 / 90; lengths sqrt(114) / 30 and sqrt(6) / 3: 21 / sqrt(684)
        pytest.param([11 / 30, 17 / 30, 2 / 30], 1, 21 / math.sqrt(684), id="in between"),
    ],
)
def test_pearson_is_the_correlation_over_sites(
    probabilities: list[float], site_index: int, expected: float
) -> None:
    found = pearson(log_of([probabilities]), torch.tensor([site_index]))
    assert found.item() == pytest.approx(expected, abs=1e-3)


def test_pearson_is_a_mean_over_the_batch() -> None:
    # 1 and -1/2: in the second p - 1/3 = (-1, 2, -1) / 3 against t - 1/3 = (2, -1, -1) / 3
    # products (-2 - 2 + 1) / 9 = -1/3, lengths² 6 / 9 each: -1/2
    found = pearson(
        log_of([[0.99998, 1e-5, 1e-5], [1e-5, 0.99998, 1e-5]]), torch.zeros(2, dtype=torch.int64)
    )
    assert found.item() == pytest.approx((1 - 0.5) / 2, abs=1e-3)


def test_pearson_of_a_uniform_answer_is_0_with_a_finite_gradient() -> None:
    logits = torch.zeros(2, 4, requires_grad=True)
    loss = pearson(logits, torch.full((len(logits),), 2))
    loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.any()


def test_pearson_over_two_sites_has_next_to_no_gradient() -> None:
    logits = torch.tensor([[0.3, -0.4]], dtype=torch.float64, requires_grad=True)
    loss = pearson(logits, torch.zeros(len(logits), dtype=torch.int64))
    loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    assert loss.item() == pytest.approx(1, abs=1e-4)
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-4


def test_uniform_is_the_cross_entropy_to_one_over_n() -> None:
    # -(log 1/2 + log 1/4 + log 1/4) / 3 = 5/3 log 2; uniform row: log 3
    assert uniform(log_of([[0.5, 0.25, 0.25]])).item() == pytest.approx(5 / 3 * math.log(2))
    assert uniform(log_of([[1 / 3] * 3, [0.5, 0.25, 0.25]])).item() == pytest.approx(
        (math.log(3) + 5 / 3 * math.log(2)) / 2
    )


def test_uniform_has_its_minimum_at_the_uniform_answer() -> None:
    logits = torch.full((1, 5), 0.7, requires_grad=True)
    loss = uniform(logits)
    loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
    assert loss.item() == pytest.approx(math.log(5))
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad, np.zeros((1, 5)), atol=1e-7)


def test_random_draws_every_site_though_the_batch_comes_from_one() -> None:
    # the cross-entropy to index k is -log p_k; the four values tell which index was drawn
    logits = log_of([[0.1, 0.2, 0.3, 0.4]])
    generator = torch.Generator().manual_seed(0)
    drawn = [round(math.exp(-random(logits, generator).item()), 6) for _ in range(400)]
    # 400 / 4 = 100 each, standard deviation sqrt(400 * 3 / 16) = 8.7: within 5 of them
    assert {p: abs(drawn.count(p) - 100) < 44 for p in (0.1, 0.2, 0.3, 0.4)} == dict.fromkeys(
        (0.1, 0.2, 0.3, 0.4), True
    )


def test_random_draws_from_its_generator_and_from_nothing_else() -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(5))
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = random(logits, torch.Generator().manual_seed(9))
    again = random(logits, torch.Generator().manual_seed(9))
    assert first.item() == again.item()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_name_chooses_the_loss() -> None:
    logits = log_of([[0.5, 0.25, 0.25]])
    generator = torch.Generator().manual_seed(2)
    found = {
        name: site_loss(logits, name=name, sites=torch.tensor([0]), generator=generator).item()
        for name in ("pearson", "uniform")
    }
    assert found["pearson"] == pytest.approx(1, abs=1e-4)  # p - 1/3 is parallel to t - 1/3
    assert found["uniform"] == pytest.approx(5 / 3 * math.log(2))
    again = torch.Generator().manual_seed(4)
    expected = random(logits, torch.Generator().manual_seed(4))
    assert site_loss(logits, name="random", sites=torch.tensor([0]), generator=again) == expected


def test_confusion_is_uniform_over_the_known_sites_alone() -> None:
    # of 8/10, 1/10, 1/10 the last two are known: 1/2 each, so the cross-entropy is log 2
    logits = log_of([[0.8, 0.1, 0.1]])
    assert confusion(logits, torch.tensor([1, 2])).item() == pytest.approx(math.log(2))
    # 8/9 and 1/9: -(log 8/9 + log 1/9) / 2 = log 9 - log(8) / 2
    expected = math.log(9) - math.log(8) / 2
    assert confusion(logits, torch.tensor([0, 1])).item() == pytest.approx(expected)
