"""Logits and truth in the precision in which losses sum them."""

from __future__ import annotations

import torch


def full_precision(logits: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as float32, or as float64 where the logits are.

    logits   (B, R, *space), of any floating type
    truth    the same shape, bool or 0 and 1

    Half precision has 8 to 11 bits: a sum over a patch would forget its small lesions.
    """
    assert logits.shape == truth.shape, f"logits {logits.shape} and truth {truth.shape} differ"
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return logits.to(dtype), truth.to(dtype)
