"""Over what the sums of a Dice or Tversky loss go."""

from __future__ import annotations

import torch

from common.recipe.loss import Over


def patch_sums(values: torch.Tensor, over: Over) -> torch.Tensor:
    """Sums over space of each patch and output, (B, R), or of the mean patch, (1, R).

    values   (B, R, *space); space may be empty
    over     "patch": each patch by itself; "batch": all patches of the batch together. A ratio of
             means is a ratio of sums, and an epsilon beside a mean is in voxels a patch, whatever
             the number of patches.
    """
    sums = values.reshape(*values.shape[:2], -1).sum(-1)
    return sums if over == "patch" else sums.mean(0, keepdim=True)
