from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from client.phases.lesion_metric import store_lesion_metric, stored_lesion_metric
from client.site.settings import Site
from common.errors import ModelFileError, SiteDataError
from common.learning.lesion_wise.metric_network import build_metric_network
from common.learning.networks.parameters import parameters_of
from common.recipe.recipe import Recipe, load_recipe
from common.wire.field_types import Arrays
from common.wire.messages import Assignment, LesionMetricRequest

ASSIGNMENT = Assignment(
    run="r",
    phase="lesion-metric",
    round_index=1,
    recipe="{}",
    code_digest="c",
    site="lyon",
    site_index=0,
    n_sites=1,
    exchange_id="0" * 32,
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(name="lyon", data=tmp_path / "bids", work=tmp_path / "work")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    overrides = ["loss.lesion_wise.widths=[4, 4]", "sampling.patch_shape=[16, 32, 16]"]
    return load_recipe("kamraoui2021", overrides=[*overrides, "network.norm=group"])


def drawn(recipe: Recipe, seed: int) -> Arrays:
    assert recipe.loss.lesion_wise is not None
    network = build_metric_network(
        recipe.loss.lesion_wise, patch_shape=recipe.sampling.patch_shape, seed=seed
    )
    return dict(parameters_of(network))


def keep(parameters: Arrays, recipe: Recipe, site: Site) -> str:
    request = LesionMetricRequest(assignment=ASSIGNMENT, parameters=parameters)
    return store_lesion_metric(request, recipe, site).digest


def test_what_was_given_comes_back_frozen_under_the_digest_of_its_content(
    recipe: Recipe, site: Site
) -> None:
    parameters = drawn(recipe, seed=3)
    digest = keep(parameters, recipe, site)
    assert digest == hashlib.sha256(safetensors.numpy.save(parameters)).hexdigest()
    network = stored_lesion_metric(digest, recipe, site)
    np.testing.assert_equal(dict(parameters_of(network)), parameters)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    with torch.no_grad():
        assert network(torch.zeros(1, 2, 16, 32, 16)).shape == (1,)


def test_two_runs_networks_are_kept_side_by_side(recipe: Recipe, site: Site) -> None:
    ours, theirs = drawn(recipe, seed=3), drawn(recipe, seed=4)
    first, second = keep(ours, recipe, site), keep(theirs, recipe, site)
    assert first != second
    np.testing.assert_equal(dict(parameters_of(stored_lesion_metric(first, recipe, site))), ours)


def test_a_third_runs_network_takes_the_place_of_the_oldest(recipe: Recipe, site: Site) -> None:
    digests = [keep(drawn(recipe, seed=seed), recipe, site) for seed in (3, 4, 5)]
    kept = {path.stem for path in (site.work / "lesion-metric").iterdir()}
    assert kept == set(digests[1:])


def test_a_site_that_was_not_there_says_so_in_a_word_that_may_leave(
    recipe: Recipe, site: Site
) -> None:
    with pytest.raises(SiteDataError, match="was absent then, or whose work folder") as refused:
        stored_lesion_metric("0" * 64, recipe, site)
    assert refused.value.code == "no-lesion-metric"


def test_a_file_that_was_damaged_is_not_believed(recipe: Recipe, site: Site) -> None:
    digest = keep(drawn(recipe, seed=3), recipe, site)
    [file] = (site.work / "lesion-metric").iterdir()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(SiteDataError, match="is not there as it was given"):
        stored_lesion_metric(digest, recipe, site)


def test_a_network_that_does_not_fit_the_recipe_is_refused_at_once(
    recipe: Recipe, site: Site
) -> None:
    parameters = drawn(recipe, seed=3)
    parameters.popitem()
    with pytest.raises(ModelFileError):
        keep(parameters, recipe, site)
    assert not (site.work / "lesion-metric").exists()


def test_a_recipe_without_the_loss_keeps_no_such_network(recipe: Recipe, site: Site) -> None:
    with pytest.raises(SiteDataError, match=r"the recipe has no loss\.lesion_wise"):
        keep(drawn(recipe, seed=3), load_recipe("default"), site)
