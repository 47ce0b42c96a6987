from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from common.errors import SiteDataError
from common.imaging.dataset.prepared_site import PreparedSite, prepared_site
from common.imaging.dataset.split import Shares, split_cases
from common.imaging.standardization.template import Template
from common.imaging.volume import Volume, read_mask, read_volume, write_volume
from common.recipe.recipe import load_recipe
from tests.toy_sites import AFFINE, SHAPE, write_site

TEMPLATE: Template = {"FLAIR": (0.6, 1.0, 1.3), "T1w": (0.5, 1.0, 1.4)}
RECIPE = load_recipe("default")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_site(tmp_path / "lyon", name="lyon", seed=0, n_subjects=3).parent / "bids"


def prepared(data: Path, tmp_path: Path, seen: list[str] | None = None) -> PreparedSite:
    return prepared_site(
        data,
        recipe=RECIPE,
        template=TEMPLATE,
        store=tmp_path / "store",
        on_case=None if seen is None else seen.append,
    )


def flair(data: Path, subject: str) -> Path:
    return data / subject / "anat" / f"{subject}_FLAIR.nii.gz"


def test_a_second_call_computes_nothing_and_gives_the_same(data: Path, tmp_path: Path) -> None:
    first = prepared(data, tmp_path)
    seen: list[str] = []
    second = prepared(data, tmp_path, seen)
    assert seen == []
    for one, other in zip(first.cases, second.cases, strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.image, other.image)


def test_the_two_copies_used_last_are_kept_and_what_a_kill_left_goes(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One copy for each template: the third takes the place of the one not used for longest."""
    store = tmp_path / "store"
    templates: list[Template] = [
        {"FLAIR": (0.6, 1.0, middle), "T1w": (0.5, 1.0, 1.4)} for middle in (1.3, 1.4, 1.5)
    ]

    def copy_of(template: Template) -> set[str]:
        prepared_site(data, recipe=RECIPE, template=template, store=store)
        return {path.name for path in store.iterdir()}

    [first] = copy_of(templates[0])
    abandoned, under_way = store / ".x.1.partial", store / ".y.2.partial"
    abandoned.mkdir()
    under_way.mkdir()
    os.utime(abandoned, (0, 0))
    [second] = copy_of(templates[1]) - {first, under_way.name}
    assert not abandoned.exists()
    copy_of(templates[0])
    caplog.clear()
    assert first in copy_of(templates[2])
    assert second not in {path.name for path in store.iterdir()}
    assert len(list(store.iterdir())) == 3
    assert "1 older prepared copies of the data are removed" in caplog.text


def test_a_changed_image_is_prepared_again(data: Path, tmp_path: Path) -> None:
    before = prepared(data, tmp_path).cases[0]
    image = read_volume(flair(data, "sub-01"))
    write_volume(Volume(image.data**2, image.affine), flair(data, "sub-01"))
    seen: list[str] = []
    after = prepared(data, tmp_path, seen).cases[0]
    assert seen == ["sub-01", "sub-02", "sub-03"]
    assert not np.array_equal(before.image[0], after.image[0])


def test_an_image_behind_a_linked_folder_is_watched_too(data: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    (data / "sub-01").rename(archive)
    (data / "sub-01").symlink_to(archive)
    prepared(data, tmp_path)
    image = read_volume(archive / "anat" / "sub-01_FLAIR.nii.gz")
    changed = Volume(image.data * 3 + (image.data > 0), image.affine)
    write_volume(changed, archive / "anat" / "sub-01_FLAIR.nii.gz")
    seen: list[str] = []
    prepared(data, tmp_path, seen)
    assert "sub-01" in seen


def test_a_link_to_nowhere_quarantines_its_case_only(data: Path, tmp_path: Path) -> None:
    flair(data, "sub-02").unlink()
    flair(data, "sub-02").symlink_to(tmp_path / "not-fetched")
    site = prepared(data, tmp_path)
    assert [case.name for case in site.cases] == ["sub-01", "sub-03"]


def test_a_mask_goes_back_to_the_voxels_it_came_from(data: Path, tmp_path: Path) -> None:
    case = prepared(data, tmp_path).cases[0]
    assert case.lesions is not None
    assert case.image.shape[1:] == case.lesions.shape
    assert case.lesions.size < np.prod(SHAPE)
    masks = data / "derivatives" / "manual" / "sub-01" / "anat"
    reference = read_mask(masks / "sub-01_desc-lesion_mask.nii.gz")
    back = case.on_file_grid(case.lesions)
    np.testing.assert_array_equal(back.data, reference.data)
    np.testing.assert_allclose(back.affine, AFFINE, atol=1e-5)
    volume_mm3 = reference.data.sum() * abs(np.linalg.det(AFFINE[:3, :3]))
    assert case.lesion_volume_ml == pytest.approx(volume_mm3 / 1000, rel=1e-5)


def test_the_background_is_zero_and_the_brain_standardized(data: Path, tmp_path: Path) -> None:
    case = prepared(data, tmp_path).cases[0]
    for channel in case.image:
        assert not channel[~case.brain].any()
        assert channel[case.brain].mean() == pytest.approx(0, abs=1e-4)
        assert channel[case.brain].std() == pytest.approx(1, abs=1e-4)


def test_a_site_without_a_usable_case_is_an_error_with_its_findings(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SiteDataError, match="no anatomical NIfTI image"):
        prepared(tmp_path / "empty", tmp_path)
    assert not list((tmp_path / "store").glob("*"))


@pytest.mark.parametrize(
    ("share", "n_kept"),
    [
        pytest.param(0.1, 0, id="0.1 of 3 is nearer to none"),
        pytest.param(0.2, 1, id="0.2 of 3 is nearer to one"),
        pytest.param(0.4, 1, id="0.4 of 3"),
    ],
)
def test_a_share_of_the_subjects_is_kept_from_training(
    data: Path, tmp_path: Path, share: float, n_kept: int
) -> None:
    cases = prepared(data, tmp_path).cases
    split = split_cases(cases, shares=Shares(validation=share), method="random", seed=3)
    training, kept = split.training, split.validation
    assert len(kept) == n_kept
    assert {case.subject for case in training}.isdisjoint(case.subject for case in kept)
    assert len(training) + len(kept) == 3
    again = split_cases(cases, shares=Shares(validation=share), method="random", seed=3)
    assert [case.name for case in again.validation] == [case.name for case in kept]


def test_a_file_name_that_is_not_utf8_stops_nothing_and_is_watched(
    data: Path, tmp_path: Path
) -> None:
    odd = flair(data, "sub-01").with_name("Nachkontrolle f\udcfcr Z\udcfcrich_FLAIR.nii.gz")
    odd.write_bytes(b"")
    assert len(prepared(data, tmp_path).cases) == 3
    odd.write_bytes(b"more")
    seen: list[str] = []
    found = prepared(data, tmp_path, seen)
    assert len(seen) == 3
    assert any(r"f\xfcr Z\xfcrich" in finding.text for finding in found.findings)
