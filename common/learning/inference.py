"""A whole image through the network, patch by patch."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from monai.inferers.utils import sliding_window_inference
from torch import nn

from common.arrays import Float32Array

PATCHES_AT_ONCE = 4


def lesion_probability(
    network: nn.Module,
    image: Float32Array,
    *,
    patch_shape: tuple[int, int, int],
    overlap: float,
    blend: Literal["gaussian", "mean"],
    device: str,
) -> Float32Array:
    """Each voxel's probability of lesion by the consensus, (i, j, k), in [0, 1].

    image         (C, i, j, k); padded with zeros where it is smaller than a patch
    patch_shape   as in training
    overlap       share of a patch that its neighbour covers as well
    blend         gaussian: overlapping patches are averaged with a weight about each patch's
                  centre, since convolutions see padding at its border (chosen; Aslani 2020 says
                  "fused"); mean: all alike (Fenneteau 2021)
    device        "cpu" or "cuda"; the network is moved there
    """

    def lesion_channel(patches: torch.Tensor) -> torch.Tensor:
        logits, _ = network(patches)
        return torch.sigmoid(logits[:, -1:])

    was_training = network.training
    network.to(device).eval()
    with torch.inference_mode():
        images = torch.tensor(np.asarray(image)[None], dtype=torch.float32)
        probability = sliding_window_inference(
            images,
            roi_size=patch_shape,
            sw_batch_size=PATCHES_AT_ONCE,
            predictor=lesion_channel,
            overlap=overlap,
            mode="gaussian" if blend == "gaussian" else "constant",
            sw_device=device,
            device="cpu",
        )
    network.train(was_training)
    assert isinstance(probability, torch.Tensor), "one output in, one out"
    found: Float32Array = probability[0, 0].numpy()
    return found
