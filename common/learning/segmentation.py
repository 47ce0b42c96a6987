"""A prepared case through a network: probabilities, a lesion mask, counts by threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Literal

import numpy as np
import torch
from monai.inferers.utils import sliding_window_inference
from torch import nn

from common.arrays import BoolArray, Float32Array
from common.errors import ModelFileError
from common.imaging.dataset.prepared import PreparedCase
from common.imaging.dataset.where_drawn import FoundInCase, where_drawn
from common.learning.cascade_segmentation import cascade_probability
from common.learning.model import available_device
from common.learning.networks.cascade import Cascade
from common.metrics.mask import least_voxels, without_small_lesions
from common.metrics.presets import preset
from common.metrics.threshold_sweep import THRESHOLDS, ThresholdCounts, sweep_thresholds
from common.recipe.inference import Flips
from common.recipe.network import CascadeSettings
from common.recipe.recipe import Recipe

PATCHES_AT_ONCE = 4


def segment(network: nn.Module, case: PreparedCase, recipe: Recipe) -> Float32Array:
    """Each voxel's probability of lesion on the case's crop, (i, j, k); 0 outside the brain.

    ModelFileError where the network gives anything but finite numbers, as after a training that
    diverged.
    """
    device = available_device(recipe)
    if isinstance(network, Cascade):
        settings = recipe.network
        assert isinstance(settings, CascadeSettings), "the network is the recipe's"
        probability = cascade_probability(
            network, case.image, case.brain, settings, stage=network.stage, device=device
        )
    else:

        def probability_of(image: Float32Array) -> Float32Array:
            return lesion_probability(
                network,
                image,
                patch_shape=recipe.sampling.patch_shape,
                overlap=recipe.inference.overlap,
                blend=recipe.inference.blend,
                device=device,
            )

        probability = mean_over_flips(probability_of, case.image, recipe.inference.flips)
    if not np.isfinite(probability).all():
        raise ModelFileError(
            f"{case.name}: the network gives NaN. Its training diverged: use an earlier round, or "
            "train again with a lower optimizer.learning_rate.",
            code="loss-not-finite",
        )
    # the mean over overlapping patches may exceed 1 in its last digit
    return np.where(case.brain, np.clip(probability, 0, 1), np.float32(0))


def found_lesions(
    probability: Float32Array,
    threshold: float,
    recipe: Recipe,
    *,
    at_least: int | None = None,
) -> BoolArray:
    """Where the probability is above the threshold, without the lesions that are too small.

    at_least   voxels that a lesion has; None: as many as the recipe says
    """
    fewest = recipe.inference.min_lesion_voxels if at_least is None else at_least
    return without_small_lesions(probability > threshold, fewest)


def mean_over_flips(
    probability_of: Callable[[Float32Array], Float32Array], image: Float32Array, flips: Flips
) -> Float32Array:
    """Each voxel's mean probability over the image and its mirror images, (i, j, k).

    image   (C, i, j, k); i runs from left to right
    flips   none: the image alone; left-right: mirrored along i too, in twice the time; all: each of
            the eight ways to mirror i, j and k, in eight times the time
    """
    mirrored = {"none": (0, 0, 0), "left-right": (1, 0, 0), "all": (1, 1, 1)}[flips]
    ways = list(product(*(range(1 + axis) for axis in mirrored)))
    total = np.zeros(image.shape[1:], np.float32)
    for way in ways:
        axes = tuple(int(axis) for axis in np.flatnonzero(way))
        there = np.flip(image, tuple(axis + 1 for axis in axes))
        total += np.flip(probability_of(np.ascontiguousarray(there)), axes)
    return total / np.float32(len(ways))


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


def sweep_case(
    network: nn.Module,
    case: PreparedCase,
    recipe: Recipe,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    as_drawn: bool = False,
) -> list[ThresholdCounts]:
    """The counts at each threshold, without lesions that are too small by the recipe.

    All else as in `sweep_case_by_size`.
    """
    [sweep] = sweep_case_by_size(
        network, case, recipe, thresholds=thresholds, smallest_mm3=(), as_drawn=as_drawn
    )
    return sweep


def sweep_case_by_size(
    network: nn.Module,
    case: PreparedCase,
    recipe: Recipe,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    smallest_mm3: Sequence[float],
    as_drawn: bool = False,
) -> list[list[ThresholdCounts]]:
    """For each smallest volume of a lesion the counts at each threshold.

    On the file's whole grid, by the recipe's lesion definition.

    case       with a reference
    smallest_mm3   predicted lesions of less volume are dropped; without any, one sweep with those
               dropped that have fewer voxels than the recipe says
    as_drawn   on the grid on which the reference was drawn, see `where_drawn`: for a verdict, not
               for a choice
    """
    found = FoundInCase(case, segment(network, case, recipe))
    if as_drawn:
        found = where_drawn(found)
    case = found.case
    assert case.lesions is not None, "only cases with a reference are scored"
    reference = case.on_file_grid(np.asarray(case.lesions))
    fewest = [least_voxels(mm3, reference.voxel_volume_mm3) for mm3 in smallest_mm3]
    probability = case.on_file_grid(found.probability).data
    return [
        sweep_thresholds(
            probability,
            reference.data,
            spacing_mm=reference.spacing_mm,
            definition=preset(recipe.evaluation.preset),
            thresholds=thresholds,
            min_voxels=min_voxels,
        )
        for min_voxels in fewest or [recipe.inference.min_lesion_voxels]
    ]
