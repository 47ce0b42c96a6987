from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.phases import site_probe
from client.phases.site_cases import own_cases
from client.phases.site_probe import PATCHES_PER_CASE, sum_attributions, sum_features
from client.site.settings import Policy, Site, read_site
from common.errors import WireError
from common.imaging.standardization.template import Template
from common.learning.model import new_network
from common.learning.networks.parameters import parameters_of
from common.recipe.recipe import Recipe, load_recipe
from common.wire.codec import pack, unpack
from common.wire.field_types import Arrays
from common.wire.messages import (
    Assignment,
    AttributionRequest,
    AttributionSums,
    FeatureRequest,
    FeatureSums,
)
from tests.toy_sites import write_site

TEMPLATE: Template = {"FLAIR": (0.5, 1.0, 1.2), "T1w": (0.5, 1.0, 1.3)}
N_FEATURES = 8


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe(
        "default",
        overrides=[
            "network.widths=[4, 4, 8, 8]",
            "network.first_stride=1",
            "sampling.patch_shape=[32, 32, 32]",
            "compute.threads=1",
            "federation.site_validation_share=0",
            "inference.threshold_from=fixed",
        ],
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A hospital of five subjects who all train: two in the first half, three in the second."""
    folder = tmp_path_factory.mktemp("hospital")
    return read_site(write_site(folder, name="lyon", seed=0, n_subjects=5))


def strict(site: Site, min_subjects: int) -> Site:
    return site.model_copy(update={"policy": Policy(min_subjects=min_subjects)})


def common_fields(recipe: Recipe, *, site_index: int = 1) -> dict[str, Any]:
    return {
        "assignment": Assignment(
            run="r",
            phase="site-probe",
            round_index=1,
            recipe=recipe.canonical_json(),
            code_digest="d",
            site="lyon",
            site_index=site_index,
            n_sites=3,
            exchange_id="0" * 32,
        ),
        "template": TEMPLATE,
        "parameters": parameters_of(new_network(recipe)),
    }


def attribution(recipe: Recipe, discriminants: Arrays) -> AttributionRequest:
    return AttributionRequest(
        **common_fields(recipe), site_indices=(0, 1), discriminants=discriminants
    )


def always(row: int, *, n_features: int = N_FEATURES) -> Arrays:
    """Two discriminants that give every patch to this one of two rows."""
    arrays: Arrays = {}
    for half in ("first", "second"):
        arrays[f"{half}.weights"] = np.zeros((2, n_features))
        arrays[f"{half}.offsets"] = np.eye(2)[row]
    return arrays


def test_the_moments_are_those_of_each_half_about_its_own_mean(site: Site, recipe: Recipe) -> None:
    sums = sum_features(FeatureRequest(**common_fields(recipe)), recipe, site)
    assert (sums.site_indices, sums.n_subjects) == ((1,), ((2, 3),))
    assert sums.n_patches == ((2 * PATCHES_PER_CASE, 3 * PATCHES_PER_CASE),)
    [(first, second)] = site_probe._probed(
        FeatureRequest(**common_fields(recipe)), recipe, site
    ).values()
    for name, half in (("first", first), ("second", second)):
        found = half.patches
        np.testing.assert_allclose(sums.features[f"{name}.means"], [found.mean(axis=0)])
        np.testing.assert_allclose(
            sums.features[f"{name}.scatter"],
            np.cov(found.T, bias=True) * len(found),
            atol=1e-9,
        )
    assert all(array.dtype == np.float64 for array in sums.features.values())


def test_the_two_halves_share_no_subject_and_are_the_same_at_each_request(
    site: Site, recipe: Recipe
) -> None:
    request = FeatureRequest(**common_fields(recipe))
    again = AttributionRequest(
        **common_fields(recipe), site_indices=(0, 1), discriminants=always(0)
    )
    [(first, second)] = site_probe._probed(request, recipe, site).values()
    [(first_again, second_again)] = site_probe._probed(again, recipe, site).values()
    np.testing.assert_array_equal(first.patches, first_again.patches)
    np.testing.assert_array_equal(second.patches, second_again.patches)
    means = [p.mean(axis=0).tolist() for p in (*first.of_subjects, *second.of_subjects)]
    assert len({tuple(mean) for mean in means}) == len(
        own_cases(site, recipe, TEMPLATE, run="run").training
    )


@pytest.mark.parametrize(
    ("row", "shares"), [(1, ((2.0, 3.0),)), (0, ((0.0, 0.0),))], ids=["right", "wrong"]
)
def test_each_subject_counts_once_and_the_sites_own_row_is_the_right_one(
    site: Site, recipe: Recipe, row: int, shares: tuple[tuple[float, float], ...]
) -> None:
    sums = sum_attributions(attribution(recipe, always(row)), recipe, site)
    assert (sums.site_indices, sums.n_subjects) == ((1,), ((2, 3),))
    assert (sums.shares, sums.squares) == (shares, shares)


def test_a_half_is_given_to_the_discriminant_of_the_other(site: Site, recipe: Recipe) -> None:
    """That of the first half names row 1 for all, that of the second row 0: right in the second."""
    arrays = {name: a for name, a in always(1).items() if name.startswith("first")}
    arrays |= {name: a for name, a in always(0).items() if name.startswith("second")}
    sums = sum_attributions(attribution(recipe, arrays), recipe, site)
    assert sums.shares == ((0.0, 3.0),)


@pytest.mark.parametrize(("min_subjects", "leaves"), [(2, True), (3, False)])
def test_nothing_leaves_where_a_half_has_fewer_subjects_than_the_policy_wants(
    site: Site, recipe: Recipe, min_subjects: int, leaves: bool
) -> None:
    place = strict(site, min_subjects)
    sums = sum_features(FeatureRequest(**common_fields(recipe)), recipe, place)
    shares = sum_attributions(attribution(recipe, always(1)), recipe, place)
    if leaves:
        assert (sums.site_indices, shares.n_subjects) == ((1,), ((2, 3),))
    else:
        assert sums == FeatureSums(site_indices=(), n_subjects=(), n_patches=(), features={})
        assert shares == AttributionSums(site_indices=(), n_subjects=(), shares=(), squares=())


def test_one_subject_has_no_two_halves(tmp_path: Path, recipe: Recipe) -> None:
    alone = read_site(write_site(tmp_path, name="lyon", seed=0, n_subjects=1))
    sums = sum_features(FeatureRequest(**common_fields(recipe)), recipe, alone)
    assert sums.site_indices == ()


def test_a_site_that_the_discriminants_do_not_name_gives_no_share(
    site: Site, recipe: Recipe
) -> None:
    request = AttributionRequest(
        **common_fields(recipe, site_index=2), site_indices=(0, 1), discriminants=always(1)
    )
    assert sum_attributions(request, recipe, site).site_indices == ()


def test_cases_of_several_sites_in_one_place_are_kept_apart(
    site: Site, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two subjects of index 0, three of index 2: a half of one, and halves of one and two."""
    monkeypatch.setattr(site_probe, "sites_of", lambda cases, *_: [0, 0, 2, 2, 2][: len(cases)])
    sums = sum_features(FeatureRequest(**common_fields(recipe)), recipe, site)
    assert (sums.site_indices, sums.n_subjects) == ((0, 2), ((1, 1), (1, 2)))
    assert sums.features["second.means"].shape == (2, N_FEATURES)
    assert sums.features["second.scatter"].shape == (N_FEATURES, N_FEATURES)
    # the scatter of the first halves, a subject each, is the sum of both about their own means
    request = FeatureRequest(**common_fields(recipe))
    halves = [h[0].patches for h in site_probe._probed(request, recipe, site).values()]
    apart = sum(np.cov(p.T, bias=True) * len(p) for p in halves)
    np.testing.assert_allclose(sums.features["first.scatter"], apart, atol=1e-9)
    both = AttributionRequest(**common_fields(recipe), site_indices=(0, 2), discriminants=always(1))
    assert sum_attributions(both, recipe, site).shares == ((0.0, 0.0), (1.0, 2.0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"first.weights": np.zeros((2, N_FEATURES + 1))}, "want arrays"),
        ({"first.offsets": np.zeros(3)}, "want arrays"),
        ({"third.offsets": np.zeros(2)}, "want arrays"),
        ({"second.offsets": np.array([0.0, np.nan])}, "want finite numbers"),
    ],
)
def test_discriminants_that_do_not_fit_the_features_are_refused(
    site: Site, recipe: Recipe, change: Arrays, words: str
) -> None:
    with pytest.raises(WireError, match=f"discriminants: {words}"):
        sum_attributions(attribution(recipe, always(1) | change), recipe, site)


def test_the_replies_arrive_as_they_were_sent(site: Site, recipe: Recipe) -> None:
    sums = sum_features(FeatureRequest(**common_fields(recipe)), recipe, site)
    arrived = unpack(pack(sums), FeatureSums)
    assert (arrived.site_indices, arrived.n_subjects, arrived.n_patches) == (
        sums.site_indices,
        sums.n_subjects,
        sums.n_patches,
    )
    for name, array in sums.features.items():
        np.testing.assert_array_equal(arrived.features[name], array)
    shares = sum_attributions(attribution(recipe, always(1)), recipe, site)
    assert unpack(pack(shares), AttributionSums) == shares
