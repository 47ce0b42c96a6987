"""One round of local training."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from client.site import Site
from client.site_cases import training_cases
from common.errors import ConfigError
from common.imaging.prepared import PreparedCase
from common.learning.model import (
    HEAD,
    NETWORK,
    available_device,
    differences,
    join,
    new_network,
    new_site_head,
    part,
)
from common.learning.parameters import load_parameters
from common.learning.segmentation import segment
from common.learning.training import train_locally
from common.metrics.voxel import count_voxels
from common.recipe import Recipe
from common.seeds import derived_seed
from common.wire.messages import SiteUpdate, TrainRequest


def train(request: TrainRequest, recipe: Recipe, site: Site) -> SiteUpdate:
    """What the site learned in this round, and how the received network does on its kept cases."""
    started = time.monotonic()
    torch.set_num_threads(recipe.compute.threads)
    told = request.assignment
    if available_device(recipe) != recipe.compute.device:
        raise ConfigError(
            f"the recipe trains on {recipe.compute.device} and this machine has none. Give the "
            "site a GPU, or ask the coordinator for compute.device = cpu.",
            code="no-gpu",
        )
    training, kept = training_cases(site, recipe, request.template)
    network = new_network(recipe)
    head = new_site_head(recipe, told.n_sites)
    load_parameters(network, part(request.parameters, NETWORK))
    if head is not None:
        load_parameters(head, part(request.parameters, HEAD))
    validation_dice = mean_dice(network, kept, recipe)
    outcome = train_locally(
        network,
        head,
        training,
        recipe=recipe,
        site_index=told.site_index,
        n_sites=told.n_sites,
        round_index=told.round_index,
        seed=derived_seed(recipe.seed, "train", told.site, told.round_index),
    )
    return SiteUpdate(
        n_cases=len(training),
        lesion_volume_ml=sum(case.lesion_volume_ml for case in training),
        loss=outcome.mean_loss,
        segmentation_loss=outcome.mean_segmentation_loss,
        site_loss=outcome.mean_site_loss,
        head_spread=outcome.head_spread,
        validation_dice=validation_dice,
        n_validation_cases=len(kept),
        wall_s=time.monotonic() - started,
        change=differences(join(network, head), request.parameters),
    )


def mean_dice(network: nn.Module, cases: Sequence[PreparedCase], recipe: Recipe) -> float | None:
    """Mean Dice over the cases, on their crops; None without a case."""
    scores = []
    for case in cases:
        found = segment(network, case, recipe) > recipe.inference.threshold
        assert case.lesions is not None, "training cases have a reference"
        score = count_voxels(np.asarray(case.lesions), found).dice
        assert score is not None, "training cases have a lesion"
        scores.append(score)
    return float(np.mean(scores)) if scores else None
