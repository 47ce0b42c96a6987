from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.imaging.unread_files import is_image_name, other_format, stands_for, why_unread


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("s_T1w.NII", "Rename it to s_T1w.nii."),
        ("s_T1w.nii.GZ", "Rename it to s_T1w.nii.gz."),
        ("s_T1w.img", "nib-convert s_T1w.img s_T1w.nii.gz"),
        ("s_T1w.mgz", "mri_convert s_T1w.mgz s_T1w.nii.gz"),
        ("s_T1w.nii.bz2", "bunzip2 s_T1w.nii.bz2"),
        ("s_T1w.nii.zst", "unzstd s_T1w.nii.zst"),
        ("s_T1w+orig.HEAD", "3dAFNItoNIFTI -prefix s_T1w+orig.nii.gz s_T1w+orig.HEAD"),
        ("s_T1w.mnc", "mnc2nii s_T1w.mnc s_T1w.nii"),
        ("s_T1w.nrrd", "3D Slicer or SimpleITK"),
        ("s_T1w.nii.7z", "7z x s_T1w.nii.7z"),
        ("s_T1w.nii.tar.gz", "tar xf s_T1w.nii.tar.gz"),
        ("s_mask.npz", "Save it as s_mask.nii.gz, with the place of the image"),
    ],
)
def test_another_format_is_told_the_command_that_converts_it(name: str, fix: str) -> None:
    found = other_format(name)
    assert found is not None
    assert found.code == "other-format"
    assert fix in found.fix
    assert is_image_name(name)


def test_nifti_in_one_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"\x1f\x8b")
    assert why_unread(path) is None
    assert not is_image_name("a_sessions.tsv")


def test_the_voxels_of_a_pair_are_counted_with_their_header(tmp_path: Path) -> None:
    for name in ("a.hdr", "a.img", "b.img", "c.HEAD", "c.BRIK"):
        (tmp_path / name).touch()
    stands = {p.name: stands_for(p).name for p in tmp_path.iterdir()}
    assert stands == {
        "a.hdr": "a.hdr",
        "a.img": "a.hdr",
        "b.img": "b.img",
        "c.HEAD": "c.HEAD",
        "c.BRIK": "c.HEAD",
    }


def test_what_stands_for_an_image_that_is_elsewhere_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "annex.nii.gz").symlink_to(".git/annex/objects/ab/SHA256E-s9")
    (tmp_path / "gone.nii.gz").symlink_to("nowhere.nii.gz")
    (tmp_path / "pointer.nii.gz").write_bytes(b"/annex/objects/SHA256E-s9--ab.nii.gz\n")
    (tmp_path / "lfs.nii.gz").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    os.mkfifo(tmp_path / "pipe.nii.gz")
    found = {path.name: why_unread(path) for path in tmp_path.iterdir()}
    fixes = {name: unread.fix for name, unread in found.items() if unread is not None}
    assert fixes["annex.nii.gz"] == "Fetch it: git annex get annex.nii.gz."
    assert fixes["gone.nii.gz"] == "Copy the file, mend the link."
    assert fixes["pointer.nii.gz"] == "Fetch it: git annex get pointer.nii.gz."
    assert fixes["lfs.nii.gz"] == "Fetch it: git lfs pull lfs.nii.gz."
    assert "pipe.nii.gz" in fixes
