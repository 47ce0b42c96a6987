from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import SiteDataError
from common.imaging.intake.intake import Intake, examine, survey
from common.imaging.volume import Volume
from common.recipe.task import Task
from tests.volumes import (
    SHAPE,
    head_in_noise,
    image_path,
    mask_path,
    oblique_affine,
    put,
    two_lesions,
    write_site,
)

WANTED = ("FLAIR", "T1w")
TASK = Task(modalities=WANTED)
SITES = Path(__file__).parents[4] / ".." / "shared" / "data" / "sites"


def codes(intake: Intake, level: str) -> list[tuple[str, str]]:
    return [(f.case, f.code) for f in intake.findings if f.level == level]


def test_a_good_site_is_usable_with_its_references(tmp_path: Path) -> None:
    root = write_site(tmp_path / "site 1.a", brain=True)
    (root / "participants.tsv").write_text("participant_id\tdiagnosis\nsub-02\thealthy\n")
    put(Volume(np.zeros(SHAPE, np.uint8), oblique_affine()), mask_path(root, "sub-02", "lesion"))
    intake = examine(root, task=TASK)
    first, second = intake.usable
    assert (first.name, first.control, first.lesion_mask is not None) == ("sub-01", False, True)
    assert first.n_lesion_voxels == 8  # 6 + 2
    assert dict(first.images) == {name: image_path(root, "sub-01", name) for name in WANTED}
    assert first.brain_mask == mask_path(root, "sub-01", "brain")
    assert (second.name, second.control, second.lesion_mask is not None) == ("sub-02", True, True)
    assert second.n_lesion_voxels == 0
    assert codes(intake, "note") == [("sub-02", "no-lesions")]
    assert intake.quarantined == ()


def test_a_site_without_lesion_masks_is_usable_and_says_it_cannot_train(tmp_path: Path) -> None:
    intake = examine(write_site(tmp_path, lesions=False), task=TASK)
    assert [case.lesion_mask is not None for case in intake.usable] == [False, False]
    assert ("sub-01", "no-lesion-mask") in codes(intake, "note")


def test_a_blocked_case_is_quarantined_and_the_rest_continues(tmp_path: Path) -> None:
    root = write_site(tmp_path, subjects=["sub-01", "sub-02", "sub-03"], sessions=["ses-01"])
    image_path(root, "sub-02", "T1w", "ses-01").write_bytes(b"")
    intake = examine(root, task=TASK)
    assert [case.name for case in intake.usable] == ["sub-01_ses-01", "sub-03_ses-01"]
    assert intake.quarantined == ("sub-02_ses-01",)
    assert codes(intake, "blocking") == [("sub-02_ses-01", "unreadable")]


def test_everything_wrong_with_a_case_is_found_in_one_visit(tmp_path: Path) -> None:
    root = write_site(tmp_path, subjects=["sub-01"], modalities=["FLAIR"])
    put(head_in_noise(), image_path(root, "sub-01", "FLAIR"))
    affine = oblique_affine()
    affine[2, 3] += 3
    put(Volume(two_lesions().data, affine), mask_path(root, "sub-01", "lesion"))
    found = {code for _, code in codes(survey(root, task=TASK), "blocking")}
    assert found == {"missing-modality", "not-stripped", "mask-grid"}


def test_no_good_case_left_is_an_error_with_every_finding(tmp_path: Path) -> None:
    root = write_site(tmp_path)
    image_path(root, "sub-01", "T1w").unlink()
    image_path(root, "sub-02", "FLAIR").write_bytes(b"")
    with pytest.raises(SiteDataError, match="want at least one usable case") as caught:
        examine(root, task=TASK)
    text = str(caught.value)
    assert "blocking: sub-01: no T1w image" in text
    assert "blocking: sub-02: sub-02/anat/sub-02_FLAIR.nii.gz: want a NIfTI file" in text
    assert "note: sub-01: no brain mask" in text


def test_a_folder_with_dicom_alone_is_an_error_that_names_the_converter(tmp_path: Path) -> None:
    (tmp_path / "sub-01").mkdir()
    (tmp_path / "sub-01" / "0001.dcm").write_bytes(b"")
    with pytest.raises(SiteDataError, match="1 DICOM files in sub-01") as caught:
        examine(tmp_path, task=TASK)
    assert "no anatomical NIfTI image" in str(caught.value)
    assert "dcm2niix" in str(caught.value)


def test_a_missing_site_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SiteDataError, match="sitee: no such folder"):
        examine(tmp_path / "sitee", task=TASK)


def test_progress_is_reported_after_each_case(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    root = write_site(tmp_path)
    examine(root, task=TASK, on_case=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]


def test_no_subject_is_logged_above_debug(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        examine(write_site(tmp_path), task=TASK)
    assert "intake done" in caplog.text
    assert "sub-" not in caplog.text


@pytest.mark.skipif(not SITES.is_dir(), reason="the shared images are not on this machine")
@pytest.mark.parametrize(
    ("site", "usable", "blocking"),
    [
        ("ljubljana-cs", ["sub-LJ3T007", "sub-LJ3T019"], set()),
        ("catania", ["sub-CT39"], set()),
        ("harvard", [], {"missing-modality"}),
        ("tcga-fg", [], {"image-grid", "not-stripped"}),
        ("ucl", [], {"missing-modality", "not-stripped"}),
    ],
)
def test_real_sites_are_judged_as_their_readme_says(
    site: str, usable: list[str], blocking: set[str]
) -> None:
    intake = survey(SITES / site, task=TASK)
    assert [case.name for case in intake.usable] == usable
    assert {code for _, code in codes(intake, "blocking")} == blocking
