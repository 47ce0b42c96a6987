"""What the site adds to the question whether the encoder's features tell where an image is from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from client.phases.site_cases import own_cases, sites_of
from client.site.settings import Site
from common.arrays import FloatArray
from common.errors import WireError
from common.imaging.dataset.prepared import PreparedCase
from common.learning.latent_features import latent_features
from common.learning.model import new_network
from common.learning.networks.parameters import load_parameters
from common.learning.site_discriminant import HALVES, SiteDiscriminant
from common.recipe.recipe import Recipe
from common.seeds import derived_seed
from common.wire.messages import AttributionRequest, AttributionSums, FeatureRequest, FeatureSums

log = logging.getLogger(__name__)

PATCHES_PER_CASE = 8
"""Chosen: a subject's patches are alike, so that more of them tell little more of its site."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Half:
    """The features of one half of the subjects of one site index.

    of_subjects   for each subject (patches, F)
    """

    of_subjects: Sequence[FloatArray]

    @property
    def patches(self) -> FloatArray:
        """(patches, F), of all subjects."""
        return np.concatenate(self.of_subjects)


def sum_features(request: FeatureRequest, recipe: Recipe, site: Site) -> FeatureSums:
    """Means and scatter of each half's latent features; none where a half has too few subjects."""
    probed = _probed(request, recipe, site)
    features = {}
    for half, name in enumerate(HALVES):
        patches = [halves[half].patches for halves in probed.values()]
        if patches:
            features[f"{name}.means"] = np.stack([p.mean(axis=0) for p in patches])
            features[f"{name}.scatter"] = _scatter(patches)
    return FeatureSums(
        site_indices=tuple(probed),
        n_subjects=tuple(_counts(halves) for halves in probed.values()),
        n_patches=tuple(
            (len(first.patches), len(second.patches)) for first, second in probed.values()
        ),
        features=features,
    )


def sum_attributions(request: AttributionRequest, recipe: Recipe, site: Site) -> AttributionSums:
    """Sums over subjects of the share of their patches that go to the right site.

    Each half is given to the discriminant that was fitted on the other. WireError where a
    discriminant does not fit the features of the network that came with it.
    """
    probed = _probed(request, recipe, site)
    probed = {index: halves for index, halves in probed.items() if index in request.site_indices}
    fitted = dict(zip(HALVES, _discriminants(request, probed), strict=True)) if probed else {}
    shares: list[tuple[float, float]] = []
    squares: list[tuple[float, float]] = []
    for index, (first, second) in probed.items():
        row = request.site_indices.index(index)
        in_first = _shares(first, fitted["second"], row)
        in_second = _shares(second, fitted["first"], row)
        shares.append((float(in_first.sum()), float(in_second.sum())))
        squares.append((float(np.square(in_first).sum()), float(np.square(in_second).sum())))
    return AttributionSums(
        site_indices=tuple(probed),
        n_subjects=tuple(_counts(halves) for halves in probed.values()),
        shares=tuple(shares),
        squares=tuple(squares),
    )


def _probed(
    request: FeatureRequest | AttributionRequest, recipe: Recipe, site: Site
) -> dict[int, tuple[_Half, _Half]]:
    """Site index -> both halves of its training subjects, rising; the same at every request.

    Without those of which a half has fewer subjects than the policy lets be summed.
    """
    torch.set_num_threads(recipe.compute.threads)
    cases = own_cases(site, recipe, request.template, run=request.assignment.run).training
    by_index: dict[int, dict[str, list[PreparedCase]]] = {}
    for case, index in zip(cases, sites_of(cases, request.assignment, site), strict=True):
        by_index.setdefault(index, {}).setdefault(case.subject, []).append(case)
    network = new_network(recipe)
    load_parameters(network, request.parameters)
    probed = {}
    for index, subjects in sorted(by_index.items()):
        n_half = len(subjects) // 2
        if n_half < max(1, site.policy.min_subjects):
            log.info("no figure of the site probe leaves: %d subjects in two halves", len(subjects))
            continue
        seed = derived_seed(recipe.seed, "site-probe", site.name, index)
        names = sorted(subjects)
        drawn = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
        of_subjects = [
            latent_features(
                network,
                subjects[name],
                recipe,
                per_case=PATCHES_PER_CASE,
                seed=derived_seed(seed, "patches", number),
            )
            for number, name in enumerate(drawn)
        ]
        flat = [found.reshape(-1, found.shape[-1]).astype(np.float64) for found in of_subjects]
        probed[index] = _Half(of_subjects=flat[:n_half]), _Half(of_subjects=flat[n_half:])
    return probed


def _counts(halves: tuple[_Half, _Half]) -> tuple[int, int]:
    first, second = halves
    return len(first.of_subjects), len(second.of_subjects)


def _scatter(patches: Sequence[FloatArray]) -> FloatArray:
    """(F, F), over all patches, about the mean of the index they are of."""
    apart = np.concatenate([p - p.mean(axis=0) for p in patches])
    scatter = apart.T @ apart
    return np.asarray((scatter + scatter.T) / 2)


def _shares(half: _Half, discriminant: SiteDiscriminant, row: int) -> FloatArray:
    """For each subject, the share of its patches that the discriminant gives to this row."""
    return np.array([np.mean(discriminant.attribute(p) == row) for p in half.of_subjects])


def _discriminants(
    request: AttributionRequest, probed: dict[int, tuple[_Half, _Half]]
) -> list[SiteDiscriminant]:
    """That of each half; WireError where one cannot be used on these features."""
    n_features = next(iter(probed.values()))[0].patches.shape[-1]
    n_sites = len(request.site_indices)
    wanted = {
        f"{half}.{part}": shape
        for half in HALVES
        for part, shape in (("weights", (n_sites, n_features)), ("offsets", (n_sites,)))
    }
    found = {name: array.shape for name, array in request.discriminants.items()}
    if found != wanted:
        raise WireError(f"discriminants: want arrays {wanted}, got {found!r:.400}")
    if not all(np.isfinite(array).all() for array in request.discriminants.values()):
        raise WireError("discriminants: want finite numbers, got others")
    return [
        SiteDiscriminant(
            weights=request.discriminants[f"{half}.weights"],
            offsets=request.discriminants[f"{half}.offsets"],
        )
        for half in HALVES
    ]
