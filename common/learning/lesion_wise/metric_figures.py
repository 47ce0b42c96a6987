"""How well the metric network estimates lesion F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from common.arrays import Float32Array
from common.learning.lesion_wise.metric_network import MetricNetwork
from common.learning.lesion_wise.pair_generator import FULL, N_BINS, LesionPairs, bin_of
from common.recipe.loss import LEAST_SPEARMAN, MOST_MAE

N_AT_ONCE = 32
"""Pairs that are estimated together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricFigures:
    """Estimates of lesion F1 beside the true ones.

    n_pairs      how many
    mae          mean absolute error
    bias         mean of estimate minus truth
    spearman     rank correlation; None where all estimates or all true values are the same
    n_by_bin     pairs in each tenth of true lesion F1, 10 numbers
    mae_by_bin   mean absolute error there; None where there is no pair
    """

    n_pairs: int
    mae: float
    bias: float
    spearman: float | None
    n_by_bin: tuple[int, ...]
    mae_by_bin: tuple[float | None, ...]

    @property
    def accepted(self) -> bool:
        """Whether both aims are met; a constant estimate meets neither."""
        if self.spearman is None:
            return False
        return self.mae <= MOST_MAE and self.spearman >= LEAST_SPEARMAN


def figures_of(estimates: Float32Array, targets: Float32Array) -> MetricFigures:
    """The figures of estimates and true values, (n,) each, n at least 1."""
    error = np.abs(estimates - targets)
    bins = np.array([bin_of(float(target)) for target in targets])
    members = [bins == number for number in range(N_BINS)]
    constant = bool(np.ptp(estimates) == 0 or np.ptp(targets) == 0)
    return MetricFigures(
        n_pairs=len(targets),
        mae=float(error.mean()),
        bias=float((estimates - targets).mean()),
        spearman=None if constant else float(stats.spearmanr(estimates, targets).statistic),
        n_by_bin=tuple(int(member.sum()) for member in members),
        mae_by_bin=tuple(float(error[m].mean()) if m.any() else None for m in members),
    )


def figures_on_pairs(network: MetricNetwork, pairs: LesionPairs) -> MetricFigures:
    """The figures on generated pairs; the network is in `eval` meanwhile."""
    return figures_of(
        estimates_of(network, pairs.references, pairs.predictions, full=FULL), pairs.targets
    )


def estimates_of(
    network: MetricNetwork,
    references: Sequence[NDArray[np.generic]] | NDArray[np.generic],
    predictions: Sequence[NDArray[np.generic]] | NDArray[np.generic],
    *,
    full: int = 1,
) -> Float32Array:
    """Estimated lesion F1 of n pairs, (n,).

    references, predictions  n of (i, j, k) each, one shape; `full` stands for a probability of 1
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    found = []
    with torch.inference_mode():
        for start in range(0, len(references), N_AT_ONCE):
            here = slice(start, start + N_AT_ONCE)
            stacked = [np.asarray(of[here], np.float32) for of in (references, predictions)]
            pairs = torch.from_numpy(np.stack(stacked, axis=1) / np.float32(full)).to(device)
            found.append(network(pairs).cpu().numpy())
    network.train(was_training)
    return np.concatenate(found)
