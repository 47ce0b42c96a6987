from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from common.errors import GeometryError
from common.learning.lesion_wise.half_trained import figures_on
from common.learning.lesion_wise.metric_figures import figures_of
from common.learning.lesion_wise.metric_network import build_metric_network
from common.recipe.recipe import LesionWise

SETTINGS = LesionWise(
    weight=0.2, widths=(4, 6), n_pairs=20, steps=2, batch_size=4, learning_rate=0.01
)


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


def test_the_truth_is_lesion_f1_above_one_half_and_the_network_stays_as_it_was() -> None:
    network = build_metric_network(SETTINGS, patch_shape=(8, 12, 16), seed=0).train()
    reference = np.zeros((8, 12, 16), dtype=np.bool_)
    reference[1:3, 1:3, 1:3] = True
    faint, sure = (np.where(reference, p, 0.1).astype(np.float32) for p in (0.4, 0.9))
    figures = figures_on(network, [reference, reference], [faint, sure])
    assert figures.n_by_bin == (1, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    assert network.training
    assert all(
        torch.equal(b, torch.zeros_like(b)) for n, b in network.named_buffers() if "mean" in n
    )


def test_maps_of_another_shape_are_refused() -> None:
    network = build_metric_network(SETTINGS, patch_shape=(8, 8, 8), seed=0)
    with pytest.raises(GeometryError, match="as many references as probability maps"):
        figures_on(network, np.zeros((2, 8, 8, 8), bool), np.zeros((2, 8, 8, 4), np.float32))


@pytest.mark.parametrize(
    ("mae", "spearman", "accepted"),
    [(0.06, 0.95, True), (0.061, 0.99, False), (0.01, 0.949, False), (0.0, None, False)],
)
def test_figures_are_accepted_where_both_aims_are_met(
    mae: float, spearman: float | None, accepted: bool
) -> None:
    figures = figures_of(np.zeros(2, np.float32), np.array([0, 1], np.float32))
    assert dataclasses.replace(figures, mae=mae, spearman=spearman).accepted == accepted
