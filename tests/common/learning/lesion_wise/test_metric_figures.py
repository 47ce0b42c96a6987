from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from common.learning.lesion_wise.metric_figures import figures_of


def test_figures_worked_by_hand() -> None:
    figures = figures_of(
        np.array([0.1, 0.6, 0.5, 0.9], np.float32), np.array([0.0, 0.4, 0.6, 1.0], np.float32)
    )
    # errors +0.1, +0.2, -0.1, -0.1; ranks 1 3 2 4 beside 1 2 3 4: 1 - 6 * 2 / (4 * 15) = 0.8
    assert figures.mae == pytest.approx(0.125)
    assert figures.bias == pytest.approx(0.025)
    assert figures.spearman == pytest.approx(0.8)
    assert figures.n_by_bin == (1, 0, 0, 0, 1, 0, 1, 0, 0, 1)
    assert figures.mae_by_bin[4] == pytest.approx(0.2)
    assert figures.mae_by_bin[1] is None


def test_rank_correlation_of_equal_values_is_undefined() -> None:
    assert figures_of(np.ones(3, np.float32), np.ones(3, np.float32)).spearman is None


@pytest.mark.parametrize(
    ("mae", "spearman", "accepted"),
    [(0.06, 0.95, True), (0.061, 0.99, False), (0.01, 0.949, False), (0.0, None, False)],
)
def test_figures_are_accepted_where_both_aims_are_met(
    mae: float, spearman: float | None, accepted: bool
) -> None:
    figures = figures_of(np.zeros(2, np.float32), np.array([0, 1], np.float32))
    assert dataclasses.replace(figures, mae=mae, spearman=spearman).accepted == accepted
