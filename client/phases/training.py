"""One round of local training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import nn

from client.phases.kept_arrays import keep_state, kept_state
from client.phases.lesion_metric import stored_lesion_metric
from client.phases.mining import false_lesions_of_some, stored_hard_negatives
from client.phases.own_norms import OwnNorms
from client.phases.own_variates import OwnVariates
from client.phases.site_cases import own_cases, shareable, sites_of
from client.phases.site_features import NO_FEATURES, SiteFeatures, site_features
from client.site.settings import Site
from common.arrays import IndexArray
from common.errors import ConfigError, SiteDataError, WireError
from common.imaging.dataset.prepared import PreparedCase
from common.learning.hard_negatives import random_negatives
from common.learning.lesion_wise.metric_network import MetricNetwork
from common.learning.model import (
    HEAD,
    NETWORK,
    available_device,
    differences,
    has_site_loss,
    join,
    new_network,
    new_site_head,
    part,
    set_stage,
    trained_at_sites,
    width_of,
)
from common.learning.networks.parameters import load_parameters
from common.learning.optimizer_state import State
from common.learning.sampling.registry import build_sampler
from common.learning.segmentation import found_lesions, segment
from common.learning.training import train_locally
from common.metrics.voxel import count_voxels
from common.recipe.network import CascadeSettings
from common.recipe.recipe import Recipe
from common.seeds import derived_seed
from common.wire.feature_summary import KnownFeatures
from common.wire.field_types import Arrays
from common.wire.messages import Assignment, SiteUpdate, TrainRequest


def train(request: TrainRequest, recipe: Recipe, site: Site) -> SiteUpdate:
    """What the site learned in this round, and how the received network does on its kept cases."""
    started = time.monotonic()
    torch.set_num_threads(recipe.compute.threads)
    assignment = request.assignment
    if available_device(recipe) != recipe.compute.device:
        raise ConfigError(
            f"the recipe trains on {recipe.compute.device} and this machine has none. Give the "
            "site a GPU, or ask the coordinator for compute.device = cpu.",
            code="no-gpu",
        )
    cases = own_cases(site, recipe, request.template, run=assignment.run)
    network = new_network(recipe)
    head = new_site_head(recipe, network, assignment.n_sites)
    load_parameters(network, part(request.parameters, NETWORK))
    if head is not None:
        load_parameters(head, part(request.parameters, HEAD))
    set_stage(network, request.stage)
    validation = shareable(cases.validation, site)
    validation_dice = mean_dice(network, validation, recipe)
    features = _features(network, head, cases.training, request, recipe, site)
    keeps, averages = (recipe.optimizer.state == way for way in ("kept", "averaged"))
    state: State | None = request.optimizer_state if averages else None
    if keeps:
        state = kept_state(assignment, site)
    negatives = _negatives(network, cases.training, request, recipe, site)
    local = OwnNorms(network, assignment, site) if recipe.federation.norms == "local" else None
    own_variates = None
    if recipe.federation.drift == "scaffold":
        own_variates = OwnVariates(request, recipe, site)
    began = join(network, head)
    outcome = train_locally(
        network,
        head,
        build_sampler(cases.training, recipe, negatives=negatives),
        recipe=_with_steps(recipe, request.steps, cases.training, site),
        sites=sites_of(cases.training, assignment, site),
        round_index=assignment.round_index,
        seed=derived_seed(recipe.seed, assignment.phase, assignment.site, assignment.round_index),
        known=request.features,
        summaries=features.summaries,
        metric_network=_metric_network(request, recipe, site),
        optimizer_state=state,
        variates=None if own_variates is None else own_variates.both,
    )
    if keeps:
        keep_state(outcome.optimizer_state, assignment, site)
    if local is not None:
        local.keep(network)
    variates: Arrays = {}
    if own_variates is not None:
        change = differences(join(network, head), began)
        variates = own_variates.keep(change, n_steps=outcome.n_steps, recipe=recipe)
    return SiteUpdate(
        n_cases=len(cases.training),
        lesion_volume_ml=sum(case.lesion_volume_ml for case in cases.training),
        loss=outcome.mean_loss,
        segmentation_loss=outcome.mean_segmentation_loss,
        site_loss=outcome.mean_site_loss,
        estimated_lesion_f1=outcome.estimated_lesion_f1,
        true_lesion_f1=outcome.true_lesion_f1,
        validation_dice=validation_dice,
        n_validation_cases=len(validation),
        wall_s=time.monotonic() - started,
        change=differences(join(network, head), trained_at_sites(request.parameters, recipe)),
        site_gradient_ratio=outcome.site_gradient_ratio,
        head_answers=features.answers,
        features=features.shared if recipe.loss.site.needs_summaries else {},
        optimizer_state=dict(outcome.optimizer_state) if averages else {},
        optimizer_restarted=keeps and state is None and assignment.round_index > 1,
        variates=variates,
        not_kept=_not_kept(local, own_variates, assignment),
        n_new_subjects=cases.n_new_subjects,
        n_lost_subjects=cases.n_lost_subjects,
    )


def _not_kept(
    local: OwnNorms | None, variates: OwnVariates | None, assignment: Assignment
) -> tuple[Literal["norms", "variates"], ...]:
    """What the site began anew, in a round that is not the first."""
    if assignment.round_index == 1:
        return ()
    norms: tuple[Literal["norms"], ...] = ("norms",) if local and not local.were_kept else ()
    anew: tuple[Literal["variates"], ...] = (
        ("variates",) if variates and not variates.were_kept else ()
    )
    return norms + anew


def _features(
    network: nn.Module,
    head: nn.Module | None,
    cases: Sequence[PreparedCase],
    request: TrainRequest,
    recipe: Recipe,
    site: Site,
) -> SiteFeatures:
    """What the received network and head make of the training cases; nothing without a site loss.

    WireError where the features of other sites, as they came, do not fit this network.
    """
    if not has_site_loss(recipe, request.assignment.n_sites):
        return NO_FEATURES
    _require_fitting(request.features, network, recipe, n_sites=request.assignment.n_sites)
    return site_features(
        network, head, cases, recipe=recipe, site=site, assignment=request.assignment
    )


def _require_fitting(
    known: KnownFeatures | None, network: nn.Module, recipe: Recipe, *, n_sites: int
) -> None:
    if known is None:
        return
    if recipe.loss.site.name == "moment_align" and known.pooled is None:
        raise WireError("want the features of all sites together for 'moment_align', got none")
    indices = {*known.sites, *known.others}
    summaries = [*known.others.values(), *([] if known.pooled is None else [known.pooled])]
    lengths = {len(numbers) for of in summaries for numbers in (of.mean, of.variance)}
    if max(indices) >= n_sites or lengths - {width_of(network)}:
        raise WireError(
            f"want features of sites below {n_sites}, {width_of(network)} of each, got sites "
            f"{sorted(indices)} and {sorted(lengths)} features"
        )


def _with_steps(
    recipe: Recipe, steps: int | None, training: Sequence[PreparedCase], site: Site
) -> Recipe:
    """The recipe with as many steps as were asked for; WireError for more than it has here.

    PolicyRefused for more than the hospital allows.
    """
    own = recipe.optimizer.steps_at(
        n_subjects=len({case.subject for case in training}), batch_size=recipe.sampling.batch_size
    )
    if steps is not None and steps > own:
        raise WireError(f"want at most the recipe's {own} steps, got {steps}")
    site.limits.require_steps(own if steps is None else steps)
    optimizer = recipe.optimizer.model_copy(update={"steps": own if steps is None else steps})
    return recipe.model_copy(update={"optimizer": optimizer})


def _negatives(
    network: nn.Module,
    cases: Sequence[PreparedCase],
    request: TrainRequest,
    recipe: Recipe,
    site: Site,
) -> list[IndexArray]:
    """For a cascade, and where the recipe wants hard negatives, each case's voxels without lesion.

    Nothing for others.
    """
    if recipe.sampling.hard_negative_share > 0:
        return false_lesions_of_some(network, cases, recipe, request.assignment)
    if not isinstance(recipe.network, CascadeSettings):
        return []
    if request.stage == "second":
        return stored_hard_negatives(network, cases, recipe, site)
    return [random_negatives(case, above=recipe.network.candidates_above) for case in cases]


def _metric_network(request: TrainRequest, recipe: Recipe, site: Site) -> MetricNetwork | None:
    """None without `loss.lesion_wise`, and before its round; that it is stored is always checked.

    SiteDataError where the coordinator names none, or the site has not stored the one it names.
    """
    settings = recipe.loss.lesion_wise
    if settings is None:
        return None
    if request.lesion_metric is None:
        raise SiteDataError(
            "the recipe has loss.lesion_wise, and the coordinator names no network for it. It "
            "must send one in the phase lesion-metric before it asks for training.",
            code="no-lesion-metric",
        )
    stored = stored_lesion_metric(request.lesion_metric, recipe, site)
    if request.assignment.round_index < settings.from_round:
        return None
    return stored.to(recipe.compute.device)


def mean_dice(network: nn.Module, cases: Sequence[PreparedCase], recipe: Recipe) -> float | None:
    """Mean Dice over the cases, on their crops; None where none has a lesion, or there is none."""
    scores = []
    for case in cases:
        assert case.lesions is not None, "training cases have a reference"
        if not case.trainable:
            continue
        probability = segment(network, case, recipe)
        found = found_lesions(probability, recipe.inference.threshold, recipe)
        score = count_voxels(np.asarray(case.lesions), found).dice
        assert score is not None, "it has a lesion"
        scores.append(score)
    return float(np.mean(scores)) if scores else None
