from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from client.phases.mining import false_lesions_of_some, mine, stored_hard_negatives
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
    return own_cases(hospital, RECIPE, {}, run="run").training


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


def toy_case(number: int, *, lesion: bool) -> PreparedCase:
    """FLAIR of two bright boxes of 3 x 3 x 3 voxels; with a lesion, the reference has the first."""
    image = np.full((1, 16, 16, 16), -4, np.float32)
    image[0, 2:5, 2:5, 2:5] = image[0, 9:12, 9:12, 9:12] = 4
    lesions = np.zeros((16, 16, 16), bool)
    lesions[3, 3, 3] = lesion
    return PreparedCase(
        subject=f"sub-{number:02d}",
        session=None,
        control=False,
        image=image,
        brain=np.ones((16, 16, 16), bool),
        lesions=lesions,
        crop_start=(0, 0, 0),
        grid_shape=(16, 16, 16),
        affine=np.eye(4),
    )


class Bright(nn.Module):
    """FLAIR as the logit of lesion."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images[:, :1], images


PATCHES = load_recipe(
    "default",
    overrides=[
        "sampling.patch_shape=[32, 32, 32]",
        "sampling.hard_negative_share=0.5",
        "task.modalities=['FLAIR']",
        "inference.flips=all",
        "compute.threads=1",
        "network.norm=group",
    ],
)


def searched(round_index: int, n_without: int, n_with: int) -> list[int]:
    """How many voxels were found in each case, those without a lesion first."""
    cases = [toy_case(n, lesion=n >= n_without) for n in range(n_without + n_with)]
    assignment = dataclasses.replace(
        request(cascade()).assignment, phase="training", round_index=round_index
    )
    found = false_lesions_of_some(Bright(), cases, PATCHES, assignment)
    return [voxels.size for voxels in found]


def test_a_false_lesion_touches_no_true_one_and_counts_whole() -> None:
    # without a lesion both boxes are false, 27 voxels each; with one voxel of the first true, one
    assert searched(2, 2, 2) == [54, 54, 27, 27]
    [found] = false_lesions_of_some(
        Bright(),
        [toy_case(0, lesion=True)],
        PATCHES,
        dataclasses.replace(request(cascade()).assignment, round_index=2),
    )
    places = np.stack(np.unravel_index(found, (16, 16, 16)))
    assert (places.min(), places.max()) == (9, 11)


@pytest.mark.parametrize(
    ("n_without", "n_with", "n_of_those"),
    [
        pytest.param(6, 6, (2, 2), id="two of each where there are so many"),
        pytest.param(1, 6, (1, 3), id="the others are with lesions"),
        pytest.param(6, 0, (4, 0), id="lesion-free alone"),
    ],
)
def test_four_cases_are_searched_and_others_the_next_round(
    n_without: int, n_with: int, n_of_those: tuple[int, int]
) -> None:
    rounds = [searched(index, n_without, n_with) for index in (2, 3, 4, 5)]
    for sizes in rounds:
        assert sum(size > 0 for size in sizes[:n_without]) == n_of_those[0]
        assert sum(size > 0 for size in sizes[n_without:]) == n_of_those[1]
    assert len({tuple(sizes) for sizes in rounds}) > 1
    assert searched(2, n_without, n_with) == rounds[0]


def test_in_the_first_round_no_case_is_searched() -> None:
    assert searched(1, 2, 2) == [0, 0, 0, 0]
