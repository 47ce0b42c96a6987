from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from client.phases.site_cases import own_cases
from client.phases.site_features import SiteFeatures, site_features
from client.phases.training import train
from client.site.settings import Policy, Site, read_site
from common.errors import WireError
from common.learning.model import initial_parameters, new_network, new_site_head
from common.recipe.recipe import Recipe, load_recipe
from common.wire.codec import pack, unpack
from common.wire.feature_summary import FeatureSummary, KnownFeatures
from common.wire.messages import Assignment, SiteUpdate, TrainRequest
from tests.toy_sites import write_site

ASSIGNMENT = Assignment(
    run="r",
    phase="training",
    round_index=2,
    recipe="{}",
    code_digest="c",
    site="lyon",
    site_index=1,
    n_sites=2,
    exchange_id="0" * 32,
)
N_FEATURES = 8


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two subjects that train."""
    folder = tmp_path_factory.mktemp("hospital")
    return read_site(write_site(folder, name="lyon", seed=0, n_subjects=2))


def recipe_with(name: str) -> Recipe:
    loss = f'loss.site={{name = "{name}", weight = 1.0, ramp_rounds = 1, proximal = 0.01}}'
    return load_recipe(
        "default",
        overrides=[
            "standardization.method=z-score",
            "optimizer.steps=1",
            "federation.site_validation_share=0",
            "inference.threshold_from=fixed",
            "inference.overlap=0",
            "compute.threads=1",
            "network.widths=[4, 4, 8, 8]",
            "network.first_stride=1",
            "sampling.patch_shape=[32, 32, 16]",
            "sampling.batch_size=2",
            loss,
        ],
    )


def with_policy(site: Site, **policy: float) -> Site:
    return site.model_copy(update={"policy": Policy.model_validate({"min_subjects": 1} | policy)})


def features_at(site: Site, name: str = "fed_confusion") -> SiteFeatures:
    recipe = recipe_with(name)
    network = new_network(recipe)
    head = new_site_head(recipe, network, 2)
    cases = own_cases(site, recipe, {}, run="run").training
    return site_features(network, head, cases, recipe=recipe, site=site, assignment=ASSIGNMENT)


def test_features_of_too_few_subjects_stay_at_the_site(site: Site) -> None:
    found = features_at(with_policy(site, min_subjects=3))
    assert found.summaries.keys() == {1}
    assert found.shared == {}
    assert found.answers is None
    assert features_at(with_policy(site, min_subjects=2)).shared == found.summaries


def test_noise_is_on_what_leaves_and_the_same_when_a_round_is_done_again(site: Site) -> None:
    noisy = with_policy(site, feature_noise=0.5)
    first, again = features_at(noisy), features_at(noisy)
    assert first.shared == again.shared
    own, sent = first.summaries[1], first.shared[1]
    moved = (np.array(sent.mean) - own.mean) / np.sqrt(own.variance)
    assert 0.05 < np.abs(moved).mean() < 1.5
    assert np.all(np.array(sent.variance) != own.variance)
    secret = site.work / "feature-noise.secret"
    secret.unlink()
    assert features_at(noisy).shared != first.shared  # it is not made from the recipe's seed


def test_the_head_s_answers_are_probabilities_over_the_sites(site: Site) -> None:
    answers = features_at(with_policy(site)).answers
    assert answers is not None
    assert answers.n_patches == 2 * 4
    assert sum(answers.mean) == pytest.approx(1)
    assert np.all(np.array(answers.mean_square) >= np.square(answers.mean) - 1e-12)
    assert features_at(with_policy(site), "moment_align").answers is None


def known() -> KnownFeatures:
    of = FeatureSummary(mean=(0.5,) * N_FEATURES, variance=(1.0,) * N_FEATURES)
    return KnownFeatures(sites=(0, 1), pooled=of, others={0: of})


def request(recipe: Recipe) -> TrainRequest:
    assigned = dataclasses.replace(ASSIGNMENT, recipe=recipe.canonical_json())
    parameters = initial_parameters(recipe, n_sites=2)
    return TrainRequest(assignment=assigned, template={}, parameters=parameters, features=known())


@pytest.mark.parametrize(
    ("name", "sends_head"),
    [("fed_confusion", False), ("fedharmony", True), ("moment_align", False), ("uniform", True)],
)
def test_a_round_through_the_wire_sends_what_the_loss_needs(
    site: Site, name: str, sends_head: bool
) -> None:
    recipe = recipe_with(name)
    arrived = unpack(pack(request(recipe)), TrainRequest)
    assert arrived.features == known()
    update = train(arrived, recipe, with_policy(site))
    assert update.site_loss is not None
    assert update.site_gradient_ratio is not None
    assert any(array.startswith("head.") for array in update.change) == sends_head
    assert update.features.keys() == (set() if name == "uniform" else {1})
    returned = unpack(pack(update), SiteUpdate)
    assert returned.features == update.features
    assert returned.head_answers == update.head_answers


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"sites": (0, 2)}, id="a site that there is not"),
        pytest.param({"pooled": FeatureSummary(mean=(0,), variance=(1,))}, id="one feature"),
        pytest.param(
            {"others": {0: FeatureSummary(mean=(0,) * N_FEATURES, variance=(1,))}},
            id="fewer variances than means",
        ),
    ],
)
def test_features_that_do_not_fit_the_network_are_refused(site: Site, odd: dict[str, Any]) -> None:
    recipe = recipe_with("fedharmony")
    wrong = dataclasses.replace(request(recipe), features=dataclasses.replace(known(), **odd))
    with pytest.raises(WireError, match="want features of sites below 2, 8 of each, got sites"):
        train(wrong, recipe, with_policy(site))


def test_moment_align_without_the_pooled_features_is_refused(site: Site) -> None:
    recipe = recipe_with("moment_align")
    less = dataclasses.replace(request(recipe), features=KnownFeatures(sites=(0, 1)))
    with pytest.raises(WireError, match="want the features of all sites together"):
        train(less, recipe, with_policy(site))


def test_the_work_folder_s_secret_is_for_its_owner_alone(site: Site) -> None:
    features_at(with_policy(site, feature_noise=0.1))
    assert (site.work / "feature-noise.secret").stat().st_mode & 0o077 == 0
