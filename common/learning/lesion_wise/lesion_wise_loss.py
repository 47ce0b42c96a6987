"""The learned metric as a loss: 1 - F, with F frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from common.learning.lesion_wise.lesion_events import true_lesion_f1
from common.learning.lesion_wise.metric_network import MetricNetwork, build_metric_network
from common.learning.networks.parameters import load_parameters
from common.recipe.loss import LesionWise


def frozen_metric_network(
    settings: LesionWise,
    parameters: Mapping[str, NDArray[Any]],
    *,
    patch_shape: tuple[int, int, int],
) -> MetricNetwork:
    """The trained metric network, without gradients to its parameters.

    ConfigError where the patch does not fit, ModelFileError where the parameters do not.
    """
    network = build_metric_network(settings, patch_shape=patch_shape, seed=0)
    load_parameters(network, parameters)
    return network.eval().requires_grad_(False)


def lesion_wise_loss(
    network: MetricNetwork, logits: torch.Tensor, truth: torch.Tensor
) -> tuple[torch.Tensor, list[float]]:
    """1 - F, mean over batch and outputs, with a gradient to `logits`; and F's B x R estimates.

    network   frozen, see `frozen_metric_network`
    logits    (B, R, i, j, k), of lesion; F sees their sigmoid beside the reference
    truth     (B, R, i, j, k), 1 in a lesion, 0 elsewhere
    Source    Kamraoui et al. 2021; alpha is the caller's. Several outputs: each counts the same
              (chosen).
    """
    assert not network.training, "F is frozen while the segmenter trains"
    dtype = torch.promote_types(
        logits.dtype, torch.float32
    )  # half precision is too coarse for sums
    with torch.autocast(logits.device.type, enabled=False):
        probability = torch.sigmoid(logits.to(dtype)).flatten(0, 1)
        pairs = torch.stack([truth.to(dtype).flatten(0, 1), probability], dim=1)
        estimates = network(pairs)
    return 1 - estimates.mean(), estimates.detach().cpu().tolist()


def true_lesion_f1_mean(logits: torch.Tensor, truth: torch.Tensor) -> float:
    """True lesion F1 of the predictions above 0.5, mean over batch and outputs.

    logits, truth   (B, R, i, j, k), as `lesion_wise_loss` takes them

    For the log, beside the mean of F's estimates: a segmenter can learn to maximize the estimate
    alone, and then the two differ.
    """
    predicted = (logits.detach() > 0).cpu().numpy().reshape(-1, *logits.shape[2:])
    masks = truth.detach().bool().cpu().numpy().reshape(-1, *truth.shape[2:])
    pairs = zip(masks, predicted, strict=True)
    return float(np.mean([true_lesion_f1(mask, prediction) for mask, prediction in pairs]))
