"""Where a received network is wrong at this site: what it, or the next one, learns from."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence

import numpy as np
import safetensors.numpy
import torch
from torch import nn

from client.phases.newest_files import remove_older_than
from client.phases.site_cases import own_cases
from client.site.settings import Site
from common.arrays import IntArray
from common.errors import ConfigError
from common.files import write_whole
from common.imaging.dataset.prepared import PreparedCase
from common.learning.hard_negatives import false_lesions, hard_negatives
from common.learning.model import NETWORK, available_device, new_network, part
from common.learning.networks.cascade import Cascade
from common.learning.networks.parameters import load_parameters, parameters_of
from common.recipe.network import CascadeSettings
from common.recipe.recipe import Recipe
from common.seeds import derived_seed
from common.wire.messages import Assignment, MiningReply, MiningRequest

log = logging.getLogger(__name__)

FlatVoxels = IntArray

SEARCHED_CASES = 4
"""Cases of a round in which false lesions are looked for: at 1 mm some seconds each (chosen)."""


def mine(request: MiningRequest, recipe: Recipe, site: Site) -> MiningReply:
    """How many voxels without lesion the first network takes for one; they stay here."""
    torch.set_num_threads(recipe.compute.threads)
    cases = own_cases(site, recipe, request.template, run=request.assignment.run).training
    network = new_network(recipe)
    load_parameters(network, part(request.parameters, NETWORK))
    found = stored_hard_negatives(network, cases, recipe, site)
    return MiningReply(n_cases=len(cases), n_negatives=sum(voxels.size for voxels in found))


def stored_hard_negatives(
    network: nn.Module, cases: Sequence[PreparedCase], recipe: Recipe, site: Site
) -> list[FlatVoxels]:
    """Flat positions of hard negatives in each case's crop, found once and stored on the disk.

    The file's name is the digest of all they depend on: the first network, its settings, the cases.
    """
    if not isinstance(network, Cascade) or not isinstance(recipe.network, CascadeSettings):
        raise ConfigError(
            f"the coordinator asks for hard negatives, and network {recipe.network.name!r} has no "
            "first and second stage"
        )
    path = site.work / "hard-negatives" / f"{_digest(network, cases, recipe)}.safetensors"
    if not path.exists():
        device = available_device(recipe)
        found = {
            f"{number:06d}": hard_negatives(network.first, case, recipe.network, device=device)
            for number, case in enumerate(cases)
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, safetensors.numpy.save(found))
        remove_older_than(path)
    stored = safetensors.numpy.load(path.read_bytes())
    return [stored[f"{number:06d}"] for number in range(len(cases))]


def false_lesions_of_some(
    network: nn.Module, cases: Sequence[PreparedCase], recipe: Recipe, assignment: Assignment
) -> list[FlatVoxels]:
    """Flat positions of the network's false lesions in each case; none where it did not look.

    network   with the parameters that the round begins with

    It looks at four cases, drawn anew for each round, two of them without a lesion where there are
    so many. In the first round it does not look: an untrained network is wrong everywhere.
    """
    found: list[FlatVoxels] = [np.empty(0, np.intp) for _ in cases]
    if assignment.round_index == 1:
        return found
    place = (assignment.phase, assignment.site, assignment.round_index)
    random = np.random.default_rng(derived_seed(recipe.seed, "searched-cases", *place))
    drawn = [int(number) for number in random.permutation(len(cases))]
    without = [number for number in drawn if not cases[number].trainable]
    with_lesions = [number for number in drawn if cases[number].trainable]
    half = SEARCHED_CASES // 2
    order = [*without[:half], *with_lesions[:half], *without[half:], *with_lesions[half:]]
    for number in order[:SEARCHED_CASES]:
        found[number] = false_lesions(network, cases[number], recipe)
    return found


def _digest(network: Cascade, cases: Sequence[PreparedCase], recipe: Recipe) -> str:
    digest = hashlib.sha256(safetensors.numpy.save(parameters_of(network.first)))
    digest.update(recipe.network.canonical_json().encode())
    for case in cases:
        assert case.lesions is not None, "training cases have a reference"
        place = [case.name, case.crop_start, case.image.shape]
        digest.update(json.dumps(place).encode())
        for array in (case.image, case.brain, case.lesions):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
