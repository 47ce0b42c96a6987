from __future__ import annotations

from functools import partial

import pytest
import torch
from monai.losses.tversky import TverskyLoss

from common.learning.losses.tversky import tversky_loss

tversky_of_each_patch = partial(tversky_loss, over="patch", epsilon=1e-5)


def patches(values: list[list[float]]) -> torch.Tensor:
    """(B, 1, n, 1, 1), one list a patch."""
    return torch.tensor(values, dtype=torch.float64)[:, None, :, None, None]


def test_one_patch_worked_by_hand() -> None:
    loss = tversky_of_each_patch(
        torch.logit(patches([[0.5, 0.2, 0.9, 0.3]])),
        patches([[1, 0, 1, 0]]),
        false_negatives=0.7,
    )
    # found 0.5 + 0.9 = 1.4; missed 0.5 + 0.1 = 0.6; wrong 0.2 + 0.3 = 0.5
    # 1.4 / (1.4 + 0.7 * 0.6 + 0.3 * 0.5) = 1.4 / 1.97
    assert loss.item() == pytest.approx(1 - 1.4 / 1.97, abs=1e-5)


def test_what_is_missed_costs_more_than_what_is_wrongly_found() -> None:
    truth = patches([[1, 1, 0, 0]])
    missed = tversky_of_each_patch(patches([[40, -40, -40, -40]]), truth, false_negatives=0.7)
    wrong = tversky_of_each_patch(patches([[40, 40, 40, -40]]), truth, false_negatives=0.7)
    # one voxel found, one missed: 0.7 / 1.7; two found, one wrong: 0.3 / 2.3
    assert missed.item() == pytest.approx(0.7 / 1.7, abs=1e-5)
    assert wrong.item() == pytest.approx(0.3 / 2.3, abs=1e-5)


def test_each_sample_counts_the_same_whatever_its_lesions() -> None:
    loss = tversky_of_each_patch(
        torch.logit(patches([[0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.8]])),
        patches([[1, 1, 1, 1], [0, 0, 0, 1]]),
        false_negatives=0.7,
    )
    # first: 2 found, 2 missed: 1.4 / 3.4; second: 0.8 found, 0.2 missed, 0.3 wrong: 0.23 / 1.03
    assert loss.item() == pytest.approx((1.4 / 3.4 + 0.23 / 1.03) / 2, abs=1e-5)


def test_over_the_batch_the_samples_have_one_index() -> None:
    loss = tversky_loss(
        torch.logit(patches([[0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.8]])),
        patches([[1, 1, 1, 1], [0, 0, 0, 1]]),
        false_negatives=0.7,
        over="batch",
        epsilon=0.5,
    )
    # found 2.8; missed 2.2, wrong 0.3: errors 1.54 + 0.09 = 1.63; epsilon 0.5 a patch
    assert loss.item() == pytest.approx(1.63 / (2.8 + 1.63 + 1))


@pytest.mark.parametrize("false_negatives", [0.7, 0.2])
def test_agrees_with_monai_whose_beta_weighs_false_negatives(false_negatives: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 2, 4, 5, 6, generator=generator)
    truth = torch.rand(3, 2, 4, 5, 6, generator=generator) > 0.8
    monai = TverskyLoss(sigmoid=True, alpha=1 - false_negatives, beta=false_negatives)
    assert tversky_of_each_patch(
        logits, truth, false_negatives=false_negatives
    ).item() == pytest.approx(monai(logits, truth.float()).item(), abs=1e-6)


@pytest.mark.parametrize(
    ("logit", "truth", "expected"),
    [
        pytest.param(-100, 0, 0.0, id="empty and none predicted"),
        pytest.param(100, 1, 0.0, id="full and all predicted"),
        pytest.param(-100, 1, 1.0, id="full and none predicted"),
        pytest.param(100, 0, 1.0, id="empty and all predicted"),
    ],
)
def test_extremes(logit: float, truth: float, expected: float) -> None:
    loss = tversky_of_each_patch(
        patches([[logit] * 9]), patches([[truth] * 9]), false_negatives=0.7
    )
    assert loss.item() == pytest.approx(expected, abs=1e-4)
