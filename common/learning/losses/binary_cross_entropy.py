"""Binary cross-entropy of every voxel."""

from __future__ import annotations

import torch

from common.learning.losses.full_precision import full_precision


def binary_cross_entropy_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """-t log p - (1 - t) log (1 - p), mean over batch, outputs and space.

    logits   (B, R, *space), of lesion
    truth    (B, R, *space), t: bool or 0 and 1
    Source   one of the four losses of Hussein 2023.
    Chosen   lesion and background voxels weigh the same.
    """
    logits, truth = full_precision(logits, truth)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)
