"""How far a site's features are from those of all sites together, as Gaussians."""

from __future__ import annotations

import torch


def gaussian_divergence(
    mean: torch.Tensor,
    variance: torch.Tensor,
    *,
    wanted_mean: torch.Tensor,
    wanted_variance: torch.Tensor,
) -> torch.Tensor:
    """Kullback-Leibler divergence of N(mean, variance) from the wanted Gaussian.

    mean, variance, wanted_mean, wanted_variance   (F,), variances above 0

    The mean over the features of 1/2 (log(w / v) + (v + (m - u)^2) / w - 1), which is 0 where both
    agree and else above.
    Source   after Dinsdale et al. 2023 (SFHarmony), arXiv:2303.15965, who align features that are
             modelled as mixtures of Gaussians. One Gaussian a feature, and this divergence, are
             chosen.
    """
    of_features = (
        torch.log(wanted_variance / variance)
        + (variance + (mean - wanted_mean).square()) / wanted_variance
        - 1
    )
    return of_features.mean() / 2


def moments_with_memory(
    batch: torch.Tensor, memory: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance (F,) over batch and memory; their gradient is that of the batch's own.

    batch    (B, F), of the current step
    memory   (M, F), of steps before, without a gradient

    A batch may hold two patches, too few for a variance. The values are those over all B + M rows;
    the gradient treats the batch as a sample of all of them: each row of it counts 1 / B.
    """
    rows = torch.cat([batch.detach(), memory])
    centre = rows.mean(dim=0)  # squares of what is left keep their digits
    shift = _gradient_alone((batch - centre).mean(dim=0))
    mean_square = (rows - centre).square().mean(dim=0)
    mean_square = mean_square + _gradient_alone((batch - centre).square().mean(dim=0))
    return centre + shift, mean_square - shift.square()


def _gradient_alone(value: torch.Tensor) -> torch.Tensor:
    """0 with the gradient of `value`."""
    return value - value.detach()
