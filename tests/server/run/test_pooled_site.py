from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.phases.statistics import describe_site
from client.site.settings import Policy, Site
from common.imaging.intake.bids import list_cases
from common.imaging.intake.intake import examine
from common.imaging.intake.usable_case import UsableCase
from common.recipe.recipe import load_recipe
from common.recipe.task import Task
from server.run.pooled_site import pool_sites, pooled_subject
from tests.toy_sites import write_site

MODALITIES = ("FLAIR", "T1w")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`st-a` as toy sites are; `sta` with two sessions and a healthy subject."""
    base = tmp_path_factory.mktemp("sites")
    found = {
        name: write_site(base / name, name=name, seed=seed).parent / "bids"
        for seed, name in enumerate(("st-a", "sta"))
    }
    with_sessions(found["sta"], "sub-01")
    (found["sta"] / "participants.tsv").write_text(
        "participant_id\tage\tdiagnosis\nsub-01\t31\tMS-RR\n02\t40\thealthy\n", encoding="utf-8"
    )
    return found


def with_sessions(bids: Path, subject: str) -> None:
    """Puts the subject's files into ses-1 and links them as ses-2 as well."""
    for folder in (bids / subject, bids / "derivatives" / "manual" / subject):
        for file in sorted((folder / "anat").iterdir()):
            for session in ("ses-1", "ses-2"):
                name = file.name.replace(subject, f"{subject}_{session}")
                link = folder / session / "anat" / name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.hardlink_to(file)
            file.unlink()
        (folder / "anat").rmdir()


@pytest.fixture(scope="module")
def pooled(sites: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pool_sites(sites, tmp_path_factory.mktemp("study") / "pooled-data" / "without-x")


def usable(root: Path) -> dict[tuple[str, str | None], UsableCase]:
    cases = examine(root, task=Task(modalities=MODALITIES)).usable
    return {(case.subject, case.session): case for case in cases}


def test_the_pooled_cases_are_those_of_the_sites_image_for_image_and_mask_for_mask(
    sites: dict[str, Path], pooled: Path
) -> None:
    found = usable(pooled)
    expected = {
        (pooled_subject(case.subject, site=name, sites=list(sites)), case.session): case
        for name, root in sites.items()
        for case in usable(root).values()
    }
    assert found.keys() == expected.keys()
    assert len(found) == 5  # two subjects, and two of which one has two sessions
    for key, case in found.items():
        own = expected[key]
        for modality in MODALITIES:
            assert case.images[modality].resolve() == own.images[modality].resolve()
        assert case.lesion_mask is not None
        assert own.lesion_mask is not None
        assert case.lesion_mask.resolve() == own.lesion_mask.resolve()
        assert (case.control, case.n_lesion_voxels) == (own.control, own.n_lesion_voxels)


def test_a_healthy_subject_stays_a_control(pooled: Path) -> None:
    controls = [key for key, case in usable(pooled).items() if case.control]
    assert controls == [("sub-2sta02", None)]


def test_the_pooled_site_has_the_volume_and_the_template_sums_of_its_parts(
    sites: dict[str, Path], pooled: Path, tmp_path: Path
) -> None:
    recipe = load_recipe("default")

    def described(data: Path):  # type: ignore[no-untyped-def] # the message's class says it
        site = Site(name="s", data=data, work=tmp_path, policy=Policy(min_subjects=1))
        return describe_site(recipe, site)

    together, parts = described(pooled), [described(root) for root in sites.values()]
    assert together.n_cases == sum(part.n_cases for part in parts)
    assert together.n_template_subjects == sum(part.n_template_subjects for part in parts)
    np.testing.assert_allclose(
        together.lesion_volume_ml, sum(part.lesion_volume_ml for part in parts)
    )
    for modality in MODALITIES:
        summed = np.sum([part.landmark_sums[modality] for part in parts], axis=0)
        np.testing.assert_allclose(together.landmark_sums[modality], summed)


def test_nothing_is_copied_and_links_are_absolute(pooled: Path) -> None:
    files = [path for path in pooled.rglob("*") if not path.is_dir()]
    links = [path for path in files if path.is_symlink()]
    assert [path.name for path in files if path not in links] == ["participants.tsv"]
    assert all(path.readlink().is_absolute() for path in links)
    assert len(links) == 15  # 5 cases of FLAIR, T1w and mask


def test_sites_whose_names_differ_by_a_dash_keep_their_subjects_apart() -> None:
    names = ["st-a", "sta"]
    assert [pooled_subject("sub-01", site=name, sites=names) for name in names] == [
        "sub-1sta01",
        "sub-2sta01",
    ]


def test_a_site_without_participants_adds_no_line_and_two_without_make_no_table(
    sites: dict[str, Path], pooled: Path, tmp_path: Path
) -> None:
    lines = (pooled / "participants.tsv").read_text("utf-8").splitlines()
    assert lines == ["participant_id\tdiagnosis", "sub-2sta01\tMS-RR", "sub-2sta02\thealthy"]
    alone = pool_sites({"st-a": sites["st-a"]}, tmp_path / "alone")
    assert not (alone / "participants.tsv").exists()


def test_a_sidecar_is_linked_and_what_speaks_of_the_whole_site_is_not(
    sites: dict[str, Path], tmp_path: Path
) -> None:
    root = tmp_path / "site"
    flair = sites["st-a"] / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    (root / "sub-01" / "anat").mkdir(parents=True)
    (root / "sub-01" / "anat" / flair.name).symlink_to(flair)
    (root / "sub-01" / "anat" / "sub-01_FLAIR.json").write_text("{}", encoding="utf-8")
    (root / "dataset_description.json").write_text("{}", encoding="utf-8")
    pooled = pool_sites({"b": root}, tmp_path / "pooled")
    assert sorted(path.name for path in pooled.rglob("*.*")) == [
        "sub-1b01_FLAIR.json",
        "sub-1b01_FLAIR.nii.gz",
    ]
    assert list_cases(pooled, Task(modalities=("FLAIR",))).cases[0].subject == "sub-1b01"


def test_a_folder_that_was_cut_off_is_made_again_and_a_whole_one_is_kept(
    sites: dict[str, Path], tmp_path: Path
) -> None:
    torn = tmp_path / ".pooled.partial" / "sub-9x01"
    torn.mkdir(parents=True)
    pooled = pool_sites({"sta": sites["sta"]}, tmp_path / "pooled")
    assert not (pooled / "sub-9x01").exists()
    (pooled / "mark").touch()
    pool_sites({"sta": sites["sta"]}, pooled)
    assert (pooled / "mark").exists()
