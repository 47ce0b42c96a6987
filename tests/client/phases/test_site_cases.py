from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.phases.site_cases import own_cases
from client.site.settings import Site, read_site
from common.errors import SiteDataError
from common.imaging.dataset.split import PARTS, Split
from common.imaging.volume import Volume, read_volume, write_volume
from common.recipe.recipe import Recipe, load_recipe
from tests.toy_sites import write_site


def without_lesion(site: Site, subject: str) -> None:
    folder = site.data / "derivatives" / "manual" / subject / "anat"
    file = folder / f"{subject}_desc-lesion_mask.nii.gz"
    mask = read_volume(file)
    write_volume(Volume(np.zeros(mask.data.shape, np.uint8), mask.affine), file)


def without_reference(site: Site, subject: str) -> None:
    folder = site.data / "derivatives" / "manual" / subject / "anat"
    (folder / f"{subject}_desc-lesion_mask.nii.gz").unlink()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Six subjects: the second and fifth are lesion-free, the sixth has no reference."""
    folder = tmp_path_factory.mktemp("hospital")
    site = read_site(write_site(folder, name="lyon", seed=0, n_subjects=6))
    for subject in ("sub-02", "sub-05"):
        without_lesion(site, subject)
    without_reference(site, "sub-06")
    return site


def recipe_with(*overrides: str) -> Recipe:
    return load_recipe("default", overrides=["standardization.method=z-score", *overrides])


def subjects(split: Split) -> dict[str, set[str]]:
    return {part: {case.subject for case in getattr(split, part)} for part in PARTS}


def everyone(split: Split) -> set[str]:
    return set().union(*subjects(split).values())


def test_without_patches_free_of_lesions_only_cases_with_one_take_part(site: Site) -> None:
    split = own_cases(site, recipe_with("sampling.lesion_share=1"), {}, run="run")
    assert everyone(split) == {"sub-01", "sub-03", "sub-04"}


def test_lesion_free_cases_take_part_where_such_patches_are_drawn_but_never_unlabelled_ones(
    site: Site,
) -> None:
    split = own_cases(site, recipe_with("sampling.lesion_share=0.8"), {}, run="run")
    assert everyone(split) == {"sub-01", "sub-02", "sub-03", "sub-04", "sub-05"}


def test_a_cascade_learns_from_cases_with_a_lesion_alone(site: Site) -> None:
    """Its share of lesion voxels is below 1, and its other voxels are of the same cases."""
    recipe = load_recipe("galassi2019", overrides=["standardization.method=z-score"])
    assert everyone(own_cases(site, recipe, {}, run="run")) == {"sub-01", "sub-03", "sub-04"}


def test_each_part_gets_its_share_and_no_subject_is_in_two(site: Site) -> None:
    """Of five subjects 0.2 is one, 0.4 two, and what is left trains."""
    recipe = recipe_with(
        "sampling.lesion_share=0.8",
        "federation.site_validation_share=0.2",
        "federation.site_threshold_share=0.4",
        "federation.site_test_share=0.2",
    )
    parts = subjects(own_cases(site, recipe, {}, run="run"))
    assert {part: len(parts[part]) for part in PARTS} == {
        "training": 1,
        "validation": 1,
        "threshold": 2,
        "test": 1,
    }
    assert len(set().union(*parts.values())) == 5


def test_the_same_seed_deals_alike_and_another_may_not(site: Site) -> None:
    def split_with(seed: int) -> dict[str, set[str]]:
        share = "federation.site_validation_share=0.4"
        recipe = recipe_with("sampling.lesion_share=0.8", share, f"seed={seed}")
        return subjects(own_cases(site, recipe, {}, run="run"))

    assert split_with(0) == split_with(0)
    assert any(split_with(0) != split_with(seed) for seed in range(1, 6))


@pytest.mark.parametrize("seed", range(4))
def test_a_balanced_split_deals_lesion_free_subjects_apart(site: Site, seed: int) -> None:
    """Three subjects with lesions, two without; 0.4 of each, rounded, is one: two kept in all."""
    recipe = recipe_with(
        "sampling.lesion_share=0.8",
        "federation.split=balanced",
        "federation.site_validation_share=0.4",
        f"seed={seed}",
    )
    kept = own_cases(site, recipe, {}, run="run").validation
    assert sorted(case.trainable for case in kept) == [False, True]


def test_a_site_whose_references_are_all_empty_is_advised_what_it_may_do(tmp_path: Path) -> None:
    site = read_site(write_site(tmp_path, name="ghent", seed=1, n_subjects=1))
    without_lesion(site, "sub-01")
    with pytest.raises(SiteDataError, match=r"site ghent: .*for the statistics only") as refused:
        own_cases(site, recipe_with("sampling.lesion_share=0.5"), {}, run="run")
    assert refused.value.code == "no-lesions"
