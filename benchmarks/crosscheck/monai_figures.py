"""What MONAI says of the random pairs."""

from __future__ import annotations

import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.meandice import compute_dice
from monai.metrics.surface_distance import compute_average_surface_distance

from common.arrays import BoolArray, FloatArray


def monai_figures(
    reference: BoolArray, prediction: BoolArray, spacing_mm: FloatArray
) -> dict[str, float]:
    """Every figure of one pair, (i, j, k); MONAI computes in float32."""
    truth, found = (torch.from_numpy(mask[None, None]) for mask in (reference, prediction))
    spacing = spacing_mm.tolist()
    dice = compute_dice(found.float(), truth.float(), include_background=True)
    surface = {"y_pred": found, "y": truth, "include_background": True, "spacing": spacing}
    return {
        "dice": float(dice),
        "hausdorff_mm": float(compute_hausdorff_distance(**surface)),
        "hd95_mm": float(compute_hausdorff_distance(**surface, percentile=95)),
        "assd_mm": float(compute_average_surface_distance(**surface, symmetric=True)),
    }
