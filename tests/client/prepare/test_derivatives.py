from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from client.prepare import derivatives
from client.prepare import prepare_subject as prepare_subject_module
from client.prepare.derivatives import (
    case_folder,
    is_written,
    read_prepared,
    remove_leftovers,
    start_folder,
    write_case,
)
from client.prepare.prepare_subject import prepare_subject
from common.errors import ConfigError, SiteDataError
from common.imaging.dataset.drawn_reference import drawn_reference_file, read_drawn_reference
from common.imaging.grid import nearest_onto
from common.imaging.intake.intake import examine
from common.imaging.volume import Volume, read_mask, read_volume
from common.recipe.task import Task
from tests.client.prepare.jobs import files_under, toy_job, toy_plan, toy_site
from tests.volumes import image_path, mask_path


@pytest.fixture(autouse=True)
def no_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages take longer to draw than these volumes to prepare."""
    monkeypatch.setattr(prepare_subject_module, "write_qc_pages", lambda job, prepared: None)


def written(tmp_path: Path) -> Path:
    """The prepared folder with both subjects in it."""
    plan = toy_plan(tmp_path)
    start_folder(tmp_path / "out", source=tmp_path / "bids")
    for planned in plan.jobs:
        prepare_subject(planned.job)
    return tmp_path / "out"


def test_intake_takes_the_prepared_folder_for_a_site(tmp_path: Path) -> None:
    """Both cases, on one grid, with brain and lesion masks, and who is healthy is known."""
    intake = examine(written(tmp_path), task=Task(modalities=("FLAIR", "T1w")))
    assert [case.name for case in intake.usable] == ["sub-01", "sub-02"]
    assert [finding for finding in intake.findings if finding.level != "note"] == []
    first, second = intake.usable
    assert first.brain_mask is not None
    assert first.n_lesion_voxels > 0
    assert (first.control, second.control) == (False, True)


def test_a_sidecar_says_where_an_image_comes_from_and_how_to_take_a_mask_back(
    tmp_path: Path,
) -> None:
    out = written(tmp_path)
    sidecar = json.loads((out / "sub-01" / "anat" / "sub-01_FLAIR.json").read_text())
    assert sidecar["GeneratedBy"][0]["Name"] == "LesionFed"
    assert sidecar["Sources"] == ["bids:raw:sub-01/anat/sub-01_FLAIR.nii.gz"]
    assert sidecar["SkullStripped"] is True
    record = sidecar["LesionFed"]
    raw = read_volume(image_path(tmp_path / "bids", "sub-01", "FLAIR"))
    assert record["ScannerToCommon"] == np.eye(4).tolist()
    assert record["ScannerShape"] == list(raw.data.shape)
    np.testing.assert_allclose(record["ScannerAffine"], raw.affine)
    assert record["SpacingMm"] == 1.0
    assert record["Steps"] == ["brain", "resample", "crop"]
    assert str(tmp_path) not in json.dumps(sidecar), "a path of this machine"


def test_the_reference_lies_there_as_it_was_drawn_with_its_move(tmp_path: Path) -> None:
    """The prepared one is it, carried by that move to the nearest voxel."""
    anat = written(tmp_path) / "sub-01" / "anat"
    drawn, prepared = (
        anat / f"sub-01_{space}desc-lesion_mask.nii.gz" for space in ("space-scanner_", "")
    )
    assert drawn_reference_file(prepared) == drawn
    read = read_drawn_reference(drawn, prepared)
    raw = read_mask(mask_path(tmp_path / "bids", "sub-01", "lesion"))
    np.testing.assert_array_equal(read.lesions.data, raw.data)
    np.testing.assert_allclose(read.lesions.affine, raw.affine, atol=1e-5)
    placed = Volume(read.lesions.data, read.to_common @ read.lesions.affine)
    there = read_mask(prepared)
    np.testing.assert_array_equal(nearest_onto(there, placed).data, there.data)
    sidecar = json.loads((anat / "sub-01_space-scanner_desc-lesion_mask.json").read_text())
    assert sidecar["Sources"] == [
        "bids:raw:derivatives/lesions/sub-01/anat/sub-01_desc-lesion_mask.nii.gz"
    ]
    record, of_image = sidecar["LesionFed"], json.loads((anat / "sub-01_FLAIR.json").read_text())
    assert record["ScannerToCommon"] == of_image["LesionFed"]["ScannerToCommon"]
    assert record["Key"] == of_image["LesionFed"]["Key"]


def test_a_case_without_a_reference_has_none_on_the_scanner_s_grid_either(tmp_path: Path) -> None:
    root = toy_site(tmp_path)
    mask_path(root, "sub-01", "lesion").unlink()
    job = toy_job(tmp_path)
    prepare_subject(job)
    assert is_written(job, job.cases[0])
    assert not list(case_folder(job.out, job.cases[0]).glob("*lesion*"))


def test_what_is_read_back_is_what_was_written(tmp_path: Path) -> None:
    job = toy_job(tmp_path)
    prepare_subject(job)
    prepared = read_prepared(job, job.cases[0])
    before = files_under(case_folder(job.out, job.cases[0]))
    write_case(job, job.cases[0], prepared)
    assert files_under(case_folder(job.out, job.cases[0])) == before


def test_no_file_holds_a_time(tmp_path: Path) -> None:
    out = written(tmp_path)
    for path in out.rglob("*.nii.gz"):
        assert path.read_bytes()[4:8] == b"\0\0\0\0", "the time in gzip's header"
    first = files_under(out)
    (tmp_path / "again").mkdir()
    (tmp_path / "bids").rename(tmp_path / "again" / "bids")
    assert files_under(written(tmp_path / "again")) == first


@pytest.mark.parametrize("harm", ["image", "sidecar", "missing", "drawn", "key"])
def test_a_case_that_is_not_whole_any_more_is_not_written(tmp_path: Path, harm: str) -> None:
    job = toy_job(tmp_path)
    (case,) = job.cases
    prepare_subject(job)
    assert is_written(job, case)
    image = case_folder(job.out, case) / "sub-01_T1w.nii.gz"
    if harm == "image":
        content = bytearray(gzip.decompress(image.read_bytes()))
        content[-9] ^= 1
        image.write_bytes(gzip.compress(bytes(content)))
    elif harm == "sidecar":
        image.with_name("sub-01_T1w.json").write_text("{")
    elif harm == "missing":
        (case_folder(job.out, case) / "sub-01_desc-lesion_mask.nii.gz").unlink()
    elif harm == "drawn":
        (case_folder(job.out, case) / "sub-01_space-scanner_desc-lesion_mask.nii.gz").unlink()
    else:
        job = toy_job(tmp_path, "preprocessing.spacing_mm=2")
    assert not is_written(job, case)


def test_a_case_made_again_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    prepare_subject(toy_job(tmp_path))
    job = toy_job(tmp_path, "preprocessing.spacing_mm=2")
    prepare_subject(job)
    folder = case_folder(job.out, job.cases[0])
    np.testing.assert_allclose(read_volume(folder / "sub-01_T1w.nii.gz").spacing_mm, 2)
    assert [path.name for path in folder.parent.iterdir()] == ["anat"]


def test_what_a_killed_worker_left_is_swept_away(tmp_path: Path) -> None:
    job = toy_job(tmp_path)
    leftover = case_folder(job.out, job.cases[0]).parent / ".anat.0123.partial"
    leftover.mkdir(parents=True)
    (leftover / "half").write_bytes(b"half")
    remove_leftovers(job)
    assert not leftover.exists()


def test_a_full_disk_is_named_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = toy_job(tmp_path)
    prepare_subject(job)
    prepared, before = read_prepared(job, job.cases[0]), files_under(job.out)
    n_written = 0

    def full(path: Path, content: bytes) -> None:
        nonlocal n_written
        n_written += 1
        if n_written == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        path.write_bytes(content)

    monkeypatch.setattr(derivatives, "write_whole", full)
    with pytest.raises(SiteDataError, match=r"No space left on device. Make room on the disk and"):
        write_case(job, job.cases[0], prepared)
    assert files_under(job.out) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    job = toy_job(tmp_path)
    job.out.chmod(0o500)
    try:
        with pytest.raises(SiteDataError, match=r"Permission denied. Check the folder's permissio"):
            prepare_subject(job)
        assert list(job.out.iterdir()) == []
    finally:
        job.out.chmod(0o700)


@pytest.mark.parametrize("out", ["bids/derivatives/prepared", "."])
def test_the_prepared_folder_lies_beside_the_site_s_own(tmp_path: Path, out: str) -> None:
    root = toy_site(tmp_path)
    with pytest.raises(ConfigError, match="one lies inside the other"):
        start_folder(tmp_path / out, source=root)


def test_a_folder_of_somebody_else_is_not_written_into(tmp_path: Path) -> None:
    root = toy_site(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("\\begin")
    with pytest.raises(ConfigError, match="Choose a new or an empty folder"):
        start_folder(tmp_path / "out", source=root)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_what_a_first_run_left_that_was_killed_at_once_does_not_close_the_folder(
    tmp_path: Path,
) -> None:
    root = toy_site(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".dataset_description.json.0123.partial").write_text("{")
    start_folder(tmp_path / "out", source=root)
    assert (tmp_path / "out" / "dataset_description.json").exists()
