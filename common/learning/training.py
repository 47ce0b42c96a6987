"""One site's training in one round."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import nn

from common.errors import SiteDataError
from common.learning.control_variates import Correction, Variates
from common.learning.lesion_wise.lesion_wise_loss import lesion_wise_loss, true_lesion_f1_mean
from common.learning.lesion_wise.metric_network import MetricNetwork
from common.learning.losses.registry import segmentation_loss
from common.learning.optimizer_state import (
    SLOTS,
    State,
    load_state,
    state_of,
    trained_parameters,
)
from common.learning.proximal import ProximalPull
from common.learning.sampling.registry import Sampler
from common.learning.site_gradient import SiteGradient
from common.learning.site_term import build_site_term
from common.recipe.recipe import Recipe
from common.seeds import derived_seed
from common.wire.feature_summary import FeatureSummary, KnownFeatures

OPTIMIZERS: Mapping[str, type[torch.optim.Adam | torch.optim.Adadelta | torch.optim.SGD]] = {
    "adam": torch.optim.Adam,
    "adadelta": torch.optim.Adadelta,
    "sgd": torch.optim.SGD,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingOutcome:
    """The result of one site's training in one round.

    mean_loss                everything that was minimized, mean over the steps
    mean_segmentation_loss   mean over the steps
    mean_site_loss           mean over the steps, before its weight; None while it is off
    site_gradient_ratio      of the encoder's gradients, site loss over the others, before the
                             bound; mean over the steps that have it
    estimated_lesion_f1      lesion F1 of the patches by the lesion metric's network, mean over the
                             steps; None without it
    true_lesion_f1           the true one; where they differ, only the estimate was maximized
    losses                   `mean_loss`'s terms, one a step
    optimizer_state          after the last step; empty where the recipe resets it
    """

    mean_loss: float
    mean_segmentation_loss: float
    mean_site_loss: float | None
    site_gradient_ratio: float | None
    estimated_lesion_f1: float | None
    true_lesion_f1: float | None
    losses: tuple[float, ...]
    optimizer_state: State = field(default_factory=dict, compare=False, repr=False)

    @property
    def n_steps(self) -> int:
        """Optimizer steps taken."""
        return len(self.losses)


def train_locally(
    network: nn.Module,
    head: nn.Module | None,
    sampler: Sampler,
    *,
    recipe: Recipe,
    sites: Sequence[int],
    round_index: int,
    seed: int,
    known: KnownFeatures | None = None,
    summaries: Mapping[int, FeatureSummary] | None = None,
    metric_network: MetricNetwork | None = None,
    optimizer_state: State | None = None,
    variates: tuple[Variates, Variates] | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> TrainingOutcome:
    """Trains network and head in place for `optimizer.steps` steps; returns how it went.

    network          images -> (logits, bottleneck)
    head             bottleneck -> site logits; None with a site loss that looks at none, and
                     switches off one that does
    sampler          of the site's training cases
    sites            of each of the sampler's cases, its site's place in the head; all the same but
                     where data of several sites lie together
    round_index      from 1; the learning rate decays with it
    seed             of this site and round: patches, random labels and dropout are drawn from it
    known            of the other sites, for a site loss that needs it; None switches it off
    summaries        index -> of patches drawn alike at each site whose cases are here, likewise
    metric_network   frozen, of `loss.lesion_wise`; None without that loss, and in the rounds before
                     `from_round`
    optimizer_state  what the optimizer begins with; None: it is restarted
    variates         of all sites and the site's own, with `federation.drift` = "scaffold"
    on_step          called after each step with steps taken and loss

    The same seed on the same machine with as many threads
    (`compute.threads`, set by the caller) gives the same parameters.
    SiteDataError where the loss is not finite, or what the last step left behind is not.
    """
    site_of_case = torch.tensor(sites, device=recipe.compute.device)
    modules = nn.ModuleList([network] if head is None else [network, head])
    modules.to(recipe.compute.device).train()
    new_optimizer = partial(
        OPTIMIZERS[recipe.optimizer.name], lr=recipe.optimizer.learning_rate_in(round_index)
    )
    site_term = build_site_term(
        network,
        head,
        sampler,
        recipe=recipe,
        site_of_case=site_of_case,
        known=known,
        summaries=summaries or {},
        head_optimizer=new_optimizer,
        seed=seed,
    )
    joint = None if recipe.loss.site.needs_summaries else head  # the others' heads train apart
    site_gradient = SiteGradient(
        network,
        joint,
        bound=recipe.loss.site.gradient_bound,
        proximal=recipe.loss.site.proximal,
    )
    site_weight = recipe.loss.site.weight_in(round_index)
    trained = network if joint is None else modules
    optimizer = new_optimizer(trained.parameters())
    kept, slots = trained_parameters(network, joint), SLOTS[recipe.optimizer.name]
    if optimizer_state is not None:
        load_state(optimizer, kept, slots, optimizer_state)
    pull = ProximalPull(list(kept.values()), recipe.federation.proximal)
    correction = None if variates is None else Correction(kept, *variates)
    random = np.random.default_rng(derived_seed(seed, "patches"))
    segmentation_losses, site_losses, ratios, losses = [], [], [], []
    estimated_f1, true_f1 = [], []

    with torch.random.fork_rng(devices=_accelerators(recipe)):
        torch.manual_seed(derived_seed(seed, "dropout"))
        for step in range(1, recipe.optimizer.fixed_steps + 1):
            images, truth, cases = _batch(sampler, recipe, random)
            logits, bottleneck = network(images)
            loss = segmentation_loss(recipe.loss.segmentation, logits, truth)
            segmentation_losses.append(loss.item())
            if metric_network is not None and recipe.loss.lesion_wise is not None:
                lesion_loss, estimates = lesion_wise_loss(metric_network, logits, truth)
                loss = loss + recipe.loss.lesion_wise.weight * lesion_loss
                estimated_f1.append(float(np.mean(estimates)))
                true_f1.append(true_lesion_f1_mean(logits, truth))
            optimizer.zero_grad()
            loss.backward(retain_graph=site_term is not None)  # type: ignore[no-untyped-call] # torch leaves it untyped
            total = loss.item()
            if site_term is not None:
                regularization = site_term.loss(bottleneck, site_of_case[cases])
                added = site_gradient.add(site_weight * regularization)
                site_losses.append(regularization.item())
                ratios += [] if added.ratio is None else [added.ratio]
                total += site_weight * site_losses[-1] + added.penalty
            total += pull.add()
            losses.append(_finite(total, step, recipe))
            if correction is not None:
                correction.add()
            optimizer.step()
            if on_step is not None:
                on_step(step, losses[-1])
    _require_usable(modules, network, images, recipe)

    return TrainingOutcome(
        mean_loss=float(np.mean(losses)),
        mean_segmentation_loss=float(np.mean(segmentation_losses)),
        mean_site_loss=_mean(site_losses),
        site_gradient_ratio=_mean(ratios),
        estimated_lesion_f1=_mean(estimated_f1),
        true_lesion_f1=_mean(true_f1),
        losses=tuple(losses),
        optimizer_state=(
            {} if recipe.optimizer.state == "reset" else state_of(optimizer, kept, slots)
        ),
    )


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _batch(
    sampler: Sampler, recipe: Recipe, random: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images (B, C, i, j, k), references (B, R, ...) and cases (B,) on the recipe's device."""
    images, references, cases = (
        torch.from_numpy(array).to(recipe.compute.device)
        for array in sampler.draw_batch(recipe.sampling.batch_size, random)
    )
    return images, references, cases


def _finite(loss: float, step: int, recipe: Recipe) -> float:
    if not math.isfinite(loss):
        raise _diverged(
            f"step {step} of {recipe.optimizer.fixed_steps}: the loss is {loss}", recipe
        )
    return loss


def _require_usable(
    modules: nn.Module, network: nn.Module, images: torch.Tensor, recipe: Recipe
) -> None:
    """Nothing, or SiteDataError where the last step spoiled the network: no loss has seen it yet.

    images   of the last batch, on which the network has to give numbers as it does in use. Finite
             parameters are not enough: of very large ones the output overflows.
    """
    for name, values in modules.state_dict().items():
        if not bool(torch.isfinite(values).all()):
            raise _diverged(f"after the last step {name} is not finite", recipe)
    network.eval()  # else the running means of a batch norm would count this batch twice
    with torch.no_grad():
        logits, _ = network(images)
    if not bool(torch.isfinite(logits).all()):
        raise _diverged("after the last step the network's output is not finite", recipe)


def _diverged(found: str, recipe: Recipe) -> SiteDataError:
    return SiteDataError(
        f"{found}, want finite numbers. Look for NaN or extreme values in the site's prepared "
        "images; if there are none, lower optimizer.learning_rate (now "
        f"{recipe.optimizer.learning_rate:g}).",
        code="loss-not-finite",
    )


def _accelerators(recipe: Recipe) -> list[int]:
    """The devices, beside the CPU, whose random numbers training uses."""
    return [torch.cuda.current_device()] if recipe.compute.device == "cuda" else []
