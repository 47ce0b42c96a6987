from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.phases.baseline import sum_baseline
from client.site.settings import Policy, Site, read_site
from common.imaging.dataset.prepared_site import prepared_site
from common.imaging.volume import Volume, read_volume, write_volume
from common.recipe.recipe import Recipe, load_recipe
from common.wire.messages import Assignment, BaselineRequest
from tests.toy_sites import longitudinal_site, write_site

THRESHOLDS = (0.5, 1.5, 2.5)
ASSIGNMENT = Assignment(
    run="r",
    phase="baseline",
    round_index=1,
    recipe="{}",
    code_digest="c",
    site="lyon",
    site_index=0,
    n_sites=1,
    exchange_id="0" * 32,
)


def test_the_change_between_two_dates_is_thresholded_and_lesion_free_cases_do_not_count(
    tmp_path: Path,
) -> None:
    """Two subjects, the second without a new lesion: the sums are the first one's Dice."""
    site = read_site(longitudinal_site(tmp_path, name="lyon", seed=5))
    masks = site.data / "derivatives" / "manual" / "sub-02" / "anat"
    file = masks / "sub-02_ses-02_desc-newlesion_mask.nii.gz"
    mask = read_volume(file)
    write_volume(Volume(np.zeros(mask.data.shape, np.uint8), mask.affine), file)
    recipe = load_recipe(
        "default",
        overrides=[
            'task.modalities=["FLAIR"]',
            "task.target=new-lesions",
            "preprocessing.space=halfway",
            "standardization.method=z-score",
            "sampling.lesion_share=0.8",
        ],
    )
    request = BaselineRequest(assignment=ASSIGNMENT, template={}, thresholds=THRESHOLDS)
    sums = sum_baseline(request, recipe, site)
    assert sums.n_cases == 1
    first, _ = prepared_site(site.data, recipe=recipe, template={}, store=tmp_path / "store").cases
    assert first.lesions is not None
    expected = []
    for threshold in THRESHOLDS:
        found = first.brain & (first.image[1] - first.image[0] > threshold)
        expected.append(2 * (found & first.lesions).sum() / (found.sum() + first.lesions.sum()))
    np.testing.assert_allclose(sums.dice_sums, expected)
    assert max(expected) > 0.9


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Five subjects, each with a lesion or two."""
    folder = tmp_path_factory.mktemp("hospital")
    return read_site(write_site(folder, name="lyon", seed=0, n_subjects=5))


def split_recipe() -> Recipe:
    """Of five subjects one is kept for validation, one for the threshold, and three train."""
    return load_recipe(
        "default",
        overrides=[
            "standardization.method=z-score",
            "federation.site_validation_share=0.2",
            "federation.site_threshold_share=0.2",
        ],
    )


REQUEST = BaselineRequest(assignment=ASSIGNMENT, template={}, thresholds=THRESHOLDS)


def test_the_site_reports_how_it_has_split_its_cases(site: Site) -> None:
    sums = sum_baseline(REQUEST, split_recipe(), site)
    assert sums.n_cases == 3
    n_subjects = {part: facts.n_subjects for part, facts in sums.parts.items()}
    assert n_subjects == {"training": 3, "validation": 1, "threshold": 1}  # none for a test
    assert {part: facts.n_cases for part, facts in sums.parts.items()} == n_subjects
    masks = site.data / "derivatives" / "manual"
    volumes_ml = []
    for file in masks.glob("sub-*/anat/*_desc-lesion_mask.nii.gz"):
        mask = read_volume(file)
        volumes_ml.append((mask.data > 0).sum() * mask.voxel_volume_mm3 / 1000)
    assert len(volumes_ml) == 5
    total = sum(facts.lesion_volume_ml for facts in sums.parts.values())
    assert total == pytest.approx(sum(volumes_ml))
    assert 5 <= sum(facts.n_lesions for facts in sums.parts.values()) <= 10  # two may touch


def test_where_one_part_has_too_few_subjects_no_part_is_reported(site: Site) -> None:
    """The totals are known: of 5 subjects and 3 that train, 2 are left for the hidden parts."""
    strict = site.model_copy(update={"policy": Policy(min_subjects=2)})
    sums = sum_baseline(REQUEST, split_recipe(), strict)
    assert sums.parts == {}
    assert sums.n_cases == 3  # training alone has enough


def test_too_few_subjects_that_train_give_no_sums_and_do_not_end_the_run(site: Site) -> None:
    strict = site.model_copy(update={"policy": Policy(min_subjects=4)})
    sums = sum_baseline(REQUEST, split_recipe(), strict)
    assert (sums.n_cases, sums.dice_sums, sums.parts) == (0, (0.0, 0.0, 0.0), {})


def without_lesions(site: Site, *subjects: str) -> None:
    for subject in subjects:
        [file] = (site.data / "derivatives" / "manual" / subject / "anat").glob("*_mask.nii.gz")
        mask = read_volume(file)
        write_volume(Volume(np.zeros(mask.data.shape, np.uint8), mask.affine), file)


def test_lesion_free_subjects_do_not_hide_the_few_that_have_lesions(tmp_path: Path) -> None:
    """Five subjects train, two of them with a lesion: the part's volume would be of those two."""
    site = read_site(write_site(tmp_path, name="lyon", seed=0, n_subjects=5))
    without_lesions(site, "sub-01", "sub-02", "sub-03")
    recipe = load_recipe(
        "default",
        overrides=[
            "standardization.method=z-score",
            "federation.site_validation_share=0",
            "inference.threshold_from=fixed",
            "sampling.lesion_share=0.8",
        ],
    )
    strict = site.model_copy(update={"policy": Policy(min_subjects=3)})
    sums = sum_baseline(REQUEST, recipe, strict)
    assert (sums.n_cases, sums.parts) == (0, {})
    enough = site.model_copy(update={"policy": Policy(min_subjects=2)})
    sums = sum_baseline(REQUEST, recipe, enough)
    assert sums.n_cases == 2
    assert sums.parts["training"].n_subjects == 5
