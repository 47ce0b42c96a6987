from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from client.phases.mining import mine, stored_hard_negatives
from client.phases.site_cases import own_cases
from client.site.settings import Site, read_site
from common.arrays import Float32Array
from common.errors import ConfigError
from common.imaging.dataset.prepared import PreparedCase
from common.learning.exact_patches import probabilities_at
from common.learning.hard_negatives import random_negatives
from common.learning.model import NETWORK, new_network
from common.learning.networks.cascade import Cascade
from common.learning.networks.parameters import parameters_of
from common.recipe.recipe import Recipe, load_recipe
from common.wire.messages import Assignment, MiningRequest
from tests.toy_sites import write_site

SEARCH = "client.phases.mining.hard_negatives"


def recipe_with(*overrides: str) -> Recipe:
    settings = (
        "standardization.method=z-score",
        "network.candidates_above=1.2",
        "federation.site_validation_share=0",
        "compute.threads=1",
    )
    return load_recipe("galassi2019", overrides=[*settings, *overrides])


RECIPE = recipe_with()


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two subjects; its cases are prepared once."""
    folder = tmp_path_factory.mktemp("hospital")
    return read_site(write_site(folder, name="lyon", seed=0, n_subjects=2))


@pytest.fixture
def site(hospital: Site, tmp_path: Path) -> Site:
    """The hospital with a work folder of its own."""
    return hospital.model_copy(update={"work": tmp_path / "work"})


@pytest.fixture(scope="module")
def cases(hospital: Site) -> list[PreparedCase]:
    return own_cases(hospital, RECIPE, {}).training


def cascade(recipe: Recipe = RECIPE) -> Cascade:
    network = new_network(recipe)
    assert isinstance(network, Cascade)
    return network


def request(network: nn.Module) -> MiningRequest:
    parameters = {NETWORK + name: array for name, array in parameters_of(network).items()}
    return MiningRequest(
        assignment=Assignment(
            run="r",
            phase="mining",
            round_index=1,
            recipe=RECIPE.canonical_json(),
            code_digest="c",
            site="lyon",
            site_index=0,
            n_sites=1,
            exchange_id="0" * 32,
        ),
        template={},
        parameters=parameters,
    )


def test_the_first_networks_mistakes_are_counted_and_no_position_leaves(
    site: Site, cases: list[PreparedCase]
) -> None:
    """Bright brain without lesion, where the network gives more than one half."""
    network = cascade()
    reply = mine(request(network), RECIPE, site)
    network.eval()
    n_mistakes = 0
    for case in cases:
        negatives = random_negatives(case, above=1.2)
        voxels = np.stack(np.unravel_index(negatives, case.brain.shape), axis=1)
        likely = probabilities_at(network.first, case.image, voxels)
        assert (likely > 0.5).any(), "as drawn it is wrong somewhere"
        n_mistakes += int((likely > 0.5).sum())
    assert {f.name for f in dataclasses.fields(reply)} == {"n_cases", "n_negatives"}
    assert (reply.n_cases, reply.n_negatives) == (2, n_mistakes)


def test_the_second_training_finds_what_the_mining_kept(
    site: Site, cases: list[PreparedCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first network does not change any more, so its mistakes need no second search."""
    network = cascade()
    reply = mine(request(network), RECIPE, site)

    def searched(*_: object, **__: object) -> None:
        raise AssertionError("searched again")

    monkeypatch.setattr(SEARCH, searched)
    with torch.no_grad():  # as after a round of the second training
        for parameter in network.second.parameters():
            parameter.add_(0.1)
    found = stored_hard_negatives(network, cases, RECIPE, site)
    assert sum(voxels.size for voxels in found) == reply.n_negatives
    for case, voxels in zip(cases, found, strict=True):
        assert case.lesions is not None
        assert case.brain.flat[voxels].all()
        assert not case.lesions.flat[voxels].any()


def more_lesion(case: PreparedCase) -> PreparedCase:
    assert case.lesions is not None
    return dataclasses.replace(case, lesions=case.lesions | (case.image[0] > 1.0))


def other_second_channel(case: PreparedCase) -> PreparedCase:
    image: Float32Array = np.array(case.image)
    image[1] *= 0.5
    return dataclasses.replace(case, image=image)


@pytest.mark.parametrize("change", [more_lesion, other_second_channel])
def test_a_case_that_has_changed_is_searched_again(
    site: Site, cases: list[PreparedCase], change: object
) -> None:
    assert callable(change)
    network = cascade()
    stored_hard_negatives(network, cases, RECIPE, site)
    changed = [change(case) for case in cases]
    for case, voxels in zip(
        changed, stored_hard_negatives(network, changed, RECIPE, site), strict=True
    ):
        assert not case.lesions.flat[voxels].any()
    assert len(list((site.work / "hard-negatives").iterdir())) == 2


@pytest.mark.parametrize(
    ("overrides", "n_files"),
    [
        pytest.param(["seed=1"], 2, id="another first network"),
        pytest.param(["network.hard_negatives_above=0.7"], 2, id="another setting"),
        pytest.param(["optimizer.steps=7"], 1, id="a setting it does not depend on"),
    ],
)
def test_the_file_is_of_one_network_and_its_settings(
    site: Site, cases: list[PreparedCase], overrides: list[str], n_files: int
) -> None:
    stored_hard_negatives(cascade(), cases, RECIPE, site)
    other = recipe_with(*overrides)
    stored_hard_negatives(cascade(other), cases, other, site)
    assert len(list((site.work / "hard-negatives").iterdir())) == n_files


def test_another_network_has_no_mistakes_to_look_for(site: Site) -> None:
    recipe = load_recipe("default", overrides=["network.widths=[4, 4, 8, 8]"])
    with pytest.raises(ConfigError, match="network 'unet' has no first and second stage"):
        stored_hard_negatives(new_network(recipe), [], recipe, site)
