"""What the encoder makes of a site's images, sampled in the same way at every site."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from common.arrays import Float32Array
from common.learning.model import available_device
from common.learning.networks.site_head import latent_vector
from common.learning.sampling.labelled_case import LabelledCase
from common.learning.sampling.patches import brain_patch
from common.recipe.recipe import Recipe

PATCHES_AT_ONCE = 8


def latent_features(
    network: nn.Module, cases: Sequence[LabelledCase], recipe: Recipe, *, per_case: int, seed: int
) -> Float32Array:
    """The latent vector of patches drawn anywhere in each case's brain, (cases, per_case, F).

    network    images -> (logits, bottleneck); evaluated as at prediction, left as it was
    per_case   patches of each case

    The places do not depend on lesions, and nothing is augmented: features that differ between
    sites because one draws more lesions would tell lesion load, not the scanner.
    """
    random = np.random.default_rng(seed)
    device = available_device(recipe)
    shape = recipe.sampling.patch_shape
    was_training = network.training
    network.to(device).eval()
    with torch.inference_mode():
        of_cases = [
            np.concatenate(
                [
                    _features(network, case, shape, n, random, device)
                    for n in _portions(per_case, PATCHES_AT_ONCE)
                ]
            )
            for case in cases
        ]
    network.train(was_training)
    return np.stack(of_cases)


def _features(
    network: nn.Module,
    case: LabelledCase,
    shape: tuple[int, int, int],
    n: int,
    random: np.random.Generator,
    device: str,
) -> Float32Array:
    patches = np.stack([brain_patch(case.image, case.brain, shape, random) for _ in range(n)])
    found: Float32Array = (
        latent_vector(network(torch.from_numpy(patches).to(device))[1]).cpu().numpy()
    )
    return found


def _portions(n: int, most: int) -> list[int]:
    return [most] * (n // most) + ([n % most] if n % most else [])
