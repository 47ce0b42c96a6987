"""One site's training in one round."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from common.errors import SiteDataError
from common.learning.losses.site_loss import head_spread, site_loss
from common.learning.losses.soft_dice import soft_dice_loss
from common.learning.sampling.lesion_patches import LabelledCase, LesionPatches
from common.recipe import Recipe
from common.seeds import derived_seed

N_SPREAD_PATCHES = 8
"""Patches on which the head's spread is measured after training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingOutcome:
    """What one site's training in one round came to.

    mean_loss                segmentation loss plus weighted site loss, mean over the steps
    mean_segmentation_loss   mean over the steps
    mean_site_loss           mean over the steps, before its weight; None without a head
    head_spread              of the trained head on fresh patches; None without a head
    losses                   `mean_loss`'s terms, one a step
    """

    mean_loss: float
    mean_segmentation_loss: float
    mean_site_loss: float | None
    head_spread: float | None
    losses: tuple[float, ...]

    @property
    def n_steps(self) -> int:
        """Optimizer steps taken."""
        return len(self.losses)


def train_locally(
    network: nn.Module,
    head: nn.Module | None,
    cases: Sequence[LabelledCase],
    *,
    recipe: Recipe,
    site_index: int,
    n_sites: int,
    round_index: int,
    seed: int,
    on_step: Callable[[int, float], None] | None = None,
) -> TrainingOutcome:
    """Trains network and head in place for `optimizer.steps` steps; returns how it went.

    network      images -> (logits, bottleneck)
    head         bottleneck -> site logits; None switches the site loss off
    cases        SiteDataError where none has a lesion
    site_index   this site's place in the head, in [0, n_sites)
    round_index  from 1; the learning rate decays with it
    seed         of this site and round: patches, random labels and dropout are drawn from it
    on_step      called after each step with steps taken and loss

    Adam starts afresh. The same seed on the same machine with as many threads
    (`compute.threads`, set by the caller) gives the same parameters.
    SiteDataError where the loss is not finite.
    """
    patches = LesionPatches(
        cases, patch_shape=recipe.sampling.patch_shape, mirror=recipe.sampling.mirror
    )
    site_term = _site_term(head, recipe, site_index=site_index, n_sites=n_sites, seed=seed)
    modules = nn.ModuleList([network] if head is None else [network, head])
    modules.to(recipe.compute.device).train()
    learning_rate = recipe.optimizer.learning_rate_in(round_index)
    optimizer = torch.optim.Adam(modules.parameters(), lr=learning_rate)
    random = np.random.default_rng(derived_seed(seed, "patches"))
    segmentation_losses, site_losses, losses = [], [], []

    with torch.random.fork_rng(devices=_accelerators(recipe)):
        torch.manual_seed(derived_seed(seed, "dropout"))
        for step in range(1, recipe.optimizer.steps + 1):
            images, lesions = _batch(patches, recipe, random)
            logits, bottleneck = network(images)
            segmentation_loss = soft_dice_loss(logits, lesions)
            loss = segmentation_loss
            if site_term is not None:
                regularization = site_term(bottleneck)
                loss = loss + recipe.loss.site.weight * regularization
                site_losses.append(regularization.item())
            segmentation_losses.append(segmentation_loss.item())
            losses.append(_finite(loss.item(), step, recipe))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            optimizer.step()
            if on_step is not None:
                on_step(step, losses[-1])

    return TrainingOutcome(
        mean_loss=float(np.mean(losses)),
        mean_segmentation_loss=float(np.mean(segmentation_losses)),
        mean_site_loss=float(np.mean(site_losses)) if site_losses else None,
        head_spread=None if head is None else _spread(network, head, patches, recipe, random),
        losses=tuple(losses),
    )


def _site_term(
    head: nn.Module | None, recipe: Recipe, *, site_index: int, n_sites: int, seed: int
) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Bottleneck -> site loss, or None without a head."""
    if head is None:
        return None
    name = recipe.loss.site.name
    assert name != "none", "a head comes with a site loss"
    assert 0 <= site_index < n_sites, "the federation numbers its sites from 0"
    generator = torch.Generator().manual_seed(derived_seed(seed, "site-labels"))
    return lambda bottleneck: site_loss(
        head(bottleneck), name=name, site_index=site_index, generator=generator
    )


def _batch(
    patches: LesionPatches, recipe: Recipe, random: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (B, C, i, j, k) and lesions (B, i, j, k) on the recipe's device."""
    images, lesions = patches.draw_batch(recipe.sampling.batch_size, random)
    device = recipe.compute.device
    return torch.from_numpy(images).to(device), torch.from_numpy(lesions).to(device)


def _finite(loss: float, step: int, recipe: Recipe) -> float:
    if not math.isfinite(loss):
        raise SiteDataError(
            f"step {step} of {recipe.optimizer.steps}: the loss is {loss}, want a finite number. "
            "Look for NaN or extreme values in the site's prepared images; if there are none, "
            f"lower optimizer.learning_rate (now {recipe.optimizer.learning_rate:g}).",
            code="loss-not-finite",
        )
    return loss


def _spread(
    network: nn.Module,
    head: nn.Module,
    patches: LesionPatches,
    recipe: Recipe,
    random: np.random.Generator,
) -> float:
    """Spread of the trained head's probabilities over freshly drawn patches."""
    network.eval()
    head.eval()
    found = []
    with torch.inference_mode():
        for _ in range(math.ceil(N_SPREAD_PATCHES / recipe.sampling.batch_size)):
            images, _lesions = _batch(patches, recipe, random)
            found.append(torch.softmax(head(network(images)[1]), dim=1))
    return head_spread(torch.cat(found))


def _accelerators(recipe: Recipe) -> list[int]:
    """The devices, beside the CPU, whose random numbers training uses."""
    return [torch.cuda.current_device()] if recipe.compute.device == "cuda" else []
