from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from client.phases.statistics import describe_site
from client.site.settings import Policy, Site, read_site
from common.errors import PolicyRefused
from common.imaging.standardization.standardization import N_LANDMARKS
from common.imaging.standardization.template import LEARNED_FROM
from common.imaging.volume import read_volume
from common.recipe.recipe import Recipe, load_recipe
from common.wire.codec import pack, unpack
from common.wire.messages import SiteStatistics
from tests.toy_sites import write_site

METHODS = tuple(N_LANDMARKS)


def recipe_with(method: str) -> Recipe:
    return load_recipe("default", overrides=[f"standardization.method={method}"])


def landmarks_of(path: Path, method: str) -> np.ndarray:
    """Stripped images: the brain is what is not 0."""
    image = read_volume(path).data
    return LEARNED_FROM[method](image, image != 0)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Three subjects; the second has two sessions, with the third's images as the later one."""
    settings = write_site(tmp_path_factory.mktemp("lyon"), name="lyon", seed=3, n_subjects=3)
    site = read_site(settings)
    for part in (site.data, site.data / "derivatives" / "manual"):
        sessions = {"ses-01": part / "sub-02" / "anat", "ses-02": part / "sub-03" / "anat"}
        for session, source in sessions.items():
            target = part / "sub-02" / session / "anat"
            target.mkdir(parents=True)
            for file in source.iterdir():
                rest = file.name.partition("_")[2]
                shutil.copy(file, target / f"sub-02_{session}_{rest}")
        shutil.rmtree(part / "sub-02" / "anat")
    return site


@pytest.mark.parametrize("method", METHODS)
def test_a_subject_counts_once_with_the_mean_over_its_sessions(site: Site, method: str) -> None:
    described = describe_site(recipe_with(method), site)
    assert (described.n_cases, described.n_template_subjects) == (4, 3)
    for modality in ("FLAIR", "T1w"):
        first, second, third = (
            landmarks_of(site.data / folder / "anat" / f"{name}_{modality}.nii.gz", method)
            for folder, name in (
                ("sub-01", "sub-01"),
                ("sub-02/ses-01", "sub-02_ses-01"),
                ("sub-03", "sub-03"),
            )
        )
        expected = first + (second + third) / 2 + third
        np.testing.assert_allclose(described.landmark_sums[modality], expected, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_sums_over_fewer_subjects_than_the_policy_allows_stay_at_the_site(
    site: Site, method: str
) -> None:
    strict = site.model_copy(update={"policy": Policy(min_subjects=4)})
    with pytest.raises(PolicyRefused, match="come from 3 subjects"):
        describe_site(recipe_with(method), strict)


@pytest.mark.parametrize("method", METHODS)
def test_a_site_without_controls_adds_nothing_to_a_template_of_controls(
    site: Site, method: str
) -> None:
    recipe = load_recipe(
        "default",
        overrides=[f"standardization.method={method}", "standardization.template_from=controls"],
    )
    described = describe_site(recipe, site)
    assert described.n_template_subjects == 0
    assert described.landmark_sums["FLAIR"] == (0.0,) * N_LANDMARKS[method]


def test_a_method_without_a_template_sends_no_landmarks(site: Site) -> None:
    described = describe_site(recipe_with("z-score"), site)
    assert described.landmark_sums == {"FLAIR": (), "T1w": ()}


def test_the_grid_is_described_by_its_median_and_how_many_are_stripped(site: Site) -> None:
    """The toys' columns: sqrt(1.2^2 + 0.2^2), sqrt(0.2^2 + 1.2^2 + 0.1^2), sqrt(0.1^2 + 1.5^2)."""
    described = describe_site(recipe_with("z-score"), site)
    assert described.spacing_mm == (1.22, 1.22, 1.5)
    assert (described.n_stripped, described.n_cases) == (4, 4)


def test_the_grid_of_fewer_subjects_than_the_policy_allows_stays_at_the_site(site: Site) -> None:
    strict = site.model_copy(update={"policy": Policy(min_subjects=4)})  # three, with four cases
    described = describe_site(recipe_with("z-score"), strict)
    assert (described.spacing_mm, described.n_stripped) == (None, None)


@pytest.mark.parametrize("method", [*METHODS, "z-score"])
def test_the_statistics_survive_the_wire(site: Site, method: str) -> None:
    described = describe_site(recipe_with(method), site)
    assert unpack(pack(described), SiteStatistics) == described


@pytest.mark.parametrize(("min_subjects", "without"), [(1, 2), (2, 3)])
def test_the_sums_of_an_optional_modality_leave_only_from_enough_subjects(
    tmp_path: Path, min_subjects: int, without: int
) -> None:
    """Three subjects, of whom one has T1w: its own landmarks, or zeros from none."""
    site = read_site(write_site(tmp_path, name="lyon", seed=3, n_subjects=3))
    for number in (1, 2):
        (site.data / f"sub-0{number}" / "anat" / f"sub-0{number}_T1w.nii.gz").unlink()
    site = site.model_copy(update={"policy": Policy(min_subjects=min_subjects)})
    recipe = load_recipe(
        "default",
        overrides=["standardization.method=two-step", 'task.optional_modalities=["T1w"]'],
    )
    described = describe_site(recipe, site)
    assert (described.n_cases, described.n_template_subjects) == (3, 3)
    assert described.n_missing == {"T1w": 2}
    assert described.n_template_without == {"T1w": without}
    own = landmarks_of(site.data / "sub-03" / "anat" / "sub-03_T1w.nii.gz", "two-step")
    expected = own if without == 2 else np.zeros(3)
    np.testing.assert_allclose(described.landmark_sums["T1w"], expected, rtol=1e-6)
