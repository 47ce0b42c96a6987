from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.lesion_metric import figures_on
from common.errors import GeometryError
from common.learning.lesion_wise.metric_network import build_metric_network
from common.recipe.loss import LesionWise

SETTINGS = LesionWise(
    weight=0.2, widths=(4, 6), n_pairs=20, steps=2, batch_size=4, learning_rate=0.01
)


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
