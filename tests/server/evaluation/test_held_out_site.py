from __future__ import annotations

import dataclasses
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from common.errors import SiteDataError
from common.recipe.recipe import load_recipe
from server.evaluation.held_out_site import open_held_out_site, unusable_site
from server.evaluation.predict import by_intensity
from tests.toy_sites import write_site

RECIPE = load_recipe("default", overrides=["standardization.method=z-score"])


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_site(tmp_path / "porto", name="porto", seed=1, n_subjects=2).parent / "bids"


def test_the_baselines_specks_go_as_the_networks_do(site: Path, tmp_path: Path) -> None:
    """A block of 3 x 3 x 3 = 27 voxels stays, a row of 19 is below 20 and goes."""
    [case, *_] = open_held_out_site(
        "porto", site, recipe=RECIPE, template={}, store=tmp_path / "store"
    ).cases
    image = np.zeros_like(case.image)
    image[0, 2:5, 2:5, 2:5] = 9
    image[0, 8, 2:21, 10] = 9
    case = dataclasses.replace(case, image=image, brain=np.ones_like(case.brain))
    strict = load_recipe("default", overrides=["inference.min_lesion_voxels=20"])
    found = by_intensity(3.0, strict)(case)
    assert found.sum() == 27
    assert found[2:5, 2:5, 2:5].all()
    assert by_intensity(3.0, RECIPE)(case).sum() == 27 + 19


def spoil(site: Path, subject: str) -> None:
    file = site / subject / "anat" / f"{subject}_FLAIR.nii.gz"
    file.write_bytes(file.read_bytes()[:500])


def test_a_case_left_out_says_why_in_a_word_that_holds_no_path(site: Path, tmp_path: Path) -> None:
    spoil(site, "sub-02")
    opened = open_held_out_site("porto", site, recipe=RECIPE, template={}, store=tmp_path / "store")
    assert [case.name for case in opened.cases] == ["sub-01"]
    [row] = opened.failed
    assert (row.site, row.name, row.failed) == ("porto", "sub-02", "left out: truncated")


def test_a_header_that_a_library_stumbles_over_costs_its_own_case_alone(
    site: Path, tmp_path: Path
) -> None:
    flair = site / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz"
    content = bytearray(gzip.decompress(flair.read_bytes()))
    struct.pack_into("<2h3f", content, 252, 1, 0, 0, 1.5, 0)  # the qform alone, a quaternion of 1.5
    flair.write_bytes(gzip.compress(content))
    opened = open_held_out_site("porto", site, recipe=RECIPE, template={}, store=tmp_path / "store")
    assert [case.name for case in opened.cases] == ["sub-01"]
    [row] = opened.failed
    assert (row.name, row.failed) == ("sub-02", "left out: bad-affine")


def test_a_site_without_a_usable_case_keeps_every_case_in_the_denominator(site: Path) -> None:
    for subject in ("sub-01", "sub-02"):
        spoil(site, subject)
    rows = unusable_site("porto", site, recipe=RECIPE)
    assert [(row.name, row.failed) for row in rows] == [
        ("sub-01", "left out: truncated"),
        ("sub-02", "left out: truncated"),
    ]


def test_a_folder_without_a_case_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SiteDataError, match="no case in it"):
        unusable_site("porto", tmp_path, recipe=RECIPE)


def test_subjects_whose_names_are_refused_or_not_read_stay_in_the_denominator(
    site: Path, tmp_path: Path
) -> None:
    (site / "sub-03").mkdir()
    (site / "sub-04").symlink_to("/nowhere")
    renamed = site / "sub-PT-02"
    (site / "sub-02").rename(renamed)
    for file in sorted(renamed.rglob("sub-02_*")):
        file.rename(file.with_name(file.name.replace("sub-02", "sub-PT-02")))
    opened = open_held_out_site("porto", site, recipe=RECIPE, template={}, store=tmp_path / "store")
    assert [case.name for case in opened.cases] == ["sub-01"]
    assert {(row.name, row.failed) for row in opened.failed} == {
        ("sub-03", "left out: subject-without-images"),
        ("sub-04", "left out: subject-without-images"),
        ("sub-PT-02", "left out: name"),
    }
