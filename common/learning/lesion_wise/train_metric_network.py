"""Training of the metric network, on masks alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from common.arrays import BoolArray
from common.errors import ConfigError
from common.learning.lesion_wise.lesion_masks import synthetic_masks
from common.learning.lesion_wise.metric_figures import MetricFigures, figures_on_pairs
from common.learning.lesion_wise.metric_network import (
    MetricNetwork,
    build_metric_network,
    lesion_f1_of,
)
from common.learning.lesion_wise.pair_generator import FULL, LesionPairs, generate_pairs
from common.learning.networks.parameters import parameters_of
from common.recipe.loss import LesionWise
from common.seeds import derived_seed

Shape = tuple[int, int, int]

PAIRS_A_MASK = 5
"""Pairs that are made of one mask, on average."""
HELD_OUT_SHARE = 0.1
FEWEST_HELD_OUT = 100
FEWEST_MASKS = 20
"""With fewer masks some tenth of lesion F1 may be out of reach."""
CELLS_WEIGHT, COUNTS_WEIGHT = 0.05, 0.02
WARM_UP_STEPS = 30


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainedMetric:
    """A trained metric network.

    parameters   name -> array, everything it keeps
    figures      on held-out pairs of masks that it was not trained on
    """

    parameters: dict[str, NDArray[Any]]
    figures: MetricFigures


def train_metric_network(
    settings: LesionWise,
    *,
    patch_shape: Shape,
    seed: int,
    masks: tuple[BoolArray, BoolArray] | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> TrainedMetric:
    """The metric network after `settings.steps` steps on generated pairs, and its accuracy.

    patch_shape   voxels of a pair along i, j and k; ConfigError where the network cannot halve it
    masks         those to train on and others for the held-out pairs, (n, i, j, k) each, as many
                  as `masks_wanted` says. None: synthetic ones
    on_step       called after each step with steps taken and loss

    Stated   mean square error of lesion F1 (Kamraoui et al. 2021).
    Chosen   to it is added the error of the events in the cells and of their sums: see ADR 0024.
             AdamW, a cosine from `settings.learning_rate` to 0 after 30 steps of warm-up. Pairs are
             mirrored, and rotated where patches are cubes, at random; lesion F1 does not change.
    The same seed and as many threads on the same machine give the same parameters.
    """
    network = build_metric_network(
        settings, patch_shape=patch_shape, seed=derived_seed(seed, "metric network")
    )
    n_held_out = _n_held_out(settings)
    ours, others = masks or _drawn_masks(settings, patch_shape=patch_shape, seed=seed)
    for given in (ours, others):
        if not len(given) or given.shape[1:] != patch_shape:
            raise ConfigError(
                f"masks: want at least 1 of shape {patch_shape}, got an array {given.shape}. Cut "
                "them with sampling.patch_shape."
            )
    pairs = generate_pairs(ours, n_pairs=settings.n_pairs, seed=derived_seed(seed, "pairs"))
    held_out = generate_pairs(others, n_pairs=n_held_out, seed=derived_seed(seed, "held-out pairs"))
    _fit(network, pairs, settings, seed=derived_seed(seed, "order"), on_step=on_step)
    network.eval()
    return TrainedMetric(
        parameters=parameters_of(network), figures=figures_on_pairs(network, held_out)
    )


def masks_wanted(settings: LesionWise) -> tuple[int, int]:
    """How many masks are for training, and how many others for the held-out pairs."""
    ours, others = (
        max(FEWEST_MASKS, math.ceil(n / PAIRS_A_MASK))
        for n in (settings.n_pairs, _n_held_out(settings))
    )
    return ours, others


def _n_held_out(settings: LesionWise) -> int:
    return max(FEWEST_HELD_OUT, round(HELD_OUT_SHARE * settings.n_pairs))


def _drawn_masks(
    settings: LesionWise, *, patch_shape: Shape, seed: int
) -> tuple[BoolArray, BoolArray]:
    ours, others = (
        synthetic_masks(n, patch_shape=patch_shape, seed=derived_seed(seed, name))
        for n, name in zip(masks_wanted(settings), ("masks", "held-out masks"), strict=True)
    )
    return ours, others


def _fit(
    network: MetricNetwork,
    pairs: LesionPairs,
    settings: LesionWise,
    *,
    seed: int,
    on_step: Callable[[int, float], None] | None,
) -> None:
    random = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=1e-4
    )
    network.train()
    waiting = np.empty(0, dtype=np.int_)
    for step in range(1, settings.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _pace(step, settings.steps)
        while len(waiting) < settings.batch_size:
            waiting = np.append(waiting, random.permutation(len(pairs)))
        drawn, waiting = np.split(waiting, [settings.batch_size])
        loss = _loss(network, pairs, drawn, random)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if on_step is not None:
            on_step(step, loss.item())


def _pace(step: int, n_steps: int) -> float:
    """Share of the learning rate in a step, from 1: up over the first steps, then a cosine."""
    return min(1.0, step / WARM_UP_STEPS) * (1 + math.cos(math.pi * (step - 1) / n_steps)) / 2


def _loss(
    network: MetricNetwork,
    pairs: LesionPairs,
    drawn: NDArray[np.int_],
    random: np.random.Generator,
) -> torch.Tensor:
    masks = np.stack([pairs.references[drawn], pairs.predictions[drawn]], axis=1)
    masks, events = _turned(masks, pairs.events[drawn], random)
    inputs = torch.from_numpy(masks.astype(np.float32) / np.float32(FULL))
    wanted = torch.from_numpy(events.astype(np.float32))
    targets = torch.from_numpy(pairs.targets[drawn])
    found = network.events_in_cells(inputs)
    space = (2, 3, 4)
    off = nn.functional.mse_loss(lesion_f1_of(found.sum(space)), targets)
    off_cells = (found - wanted).square().sum((1, 2, 3, 4)).mean()
    off_counts = nn.functional.smooth_l1_loss(found.sum(space), wanted.sum(space))
    return off + CELLS_WEIGHT * off_cells + COUNTS_WEIGHT * off_counts


def _turned(
    masks: NDArray[np.uint8], events: NDArray[np.float16], random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Both mirrored along random axes and, where patches are cubes, their axes exchanged."""
    if len(set(masks.shape[2:])) == 1:
        axes = (0, 1, *(2 + random.permutation(3)))
        masks, events = masks.transpose(axes), events.transpose(axes)
    mirrored = tuple(axis for axis in (2, 3, 4) if random.random() < 0.5)
    return np.flip(masks, mirrored), np.flip(events, mirrored)
