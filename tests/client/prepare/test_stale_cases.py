from __future__ import annotations

from pathlib import Path

from client.prepare.stale_cases import move_aside, remove_aside, stale_cases
from common.imaging.intake.bids_names import files_below
from common.imaging.intake.usable_case import UsableCase


def case(subject: str, session: str | None = None) -> UsableCase:
    return UsableCase(
        subject=subject, session=session, images={}, lesion_mask=None, brain_mask=None
    )


def write(out: Path, *folders: str) -> Path:
    for folder in folders:
        (out / folder / "anat").mkdir(parents=True)
        (out / folder / "anat" / "image.nii.gz").write_bytes(b"voxels")
    return out


def test_intake_sees_the_kept_cases_alone(tmp_path: Path) -> None:
    out = write(tmp_path, "sub-01", "sub-01/ses-01", "sub-02/ses-01", "sub-02/ses-02", "sub-03")
    current = [case("sub-01", "ses-01"), case("sub-02", "ses-02")]
    assert list(stale_cases(out, current)) == ["sub-01", "sub-02_ses-01", "sub-03"]
    assert move_aside(out, current=current) == ("sub-01", "sub-02_ses-01", "sub-03")
    shown = [path.relative_to(out).as_posix() for path in files_below(out)[0]]
    assert shown == [
        "sub-01/ses-01/anat/image.nii.gz",
        "sub-02/ses-02/anat/image.nii.gz",
    ]
    assert (out / ".left-out" / "sub-02_ses-01" / "anat" / "image.nii.gz").exists()
    assert not (out / "sub-03").exists()
    assert move_aside(out, current=current) == ()


def test_the_newest_is_kept_of_a_case_that_is_left_out_twice(tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        write(tmp_path, "sub-01")
        (tmp_path / "sub-01" / "anat" / "image.nii.gz").write_bytes(content)
        move_aside(tmp_path, current=[])
    aside = tmp_path / ".left-out" / "sub-01" / "anat" / "image.nii.gz"
    assert aside.read_bytes() == b"new"


def test_what_is_forgotten_leaves_no_trace(tmp_path: Path) -> None:
    move_aside(write(tmp_path, "sub-01"), current=[])
    remove_aside(tmp_path, "sub-01")
    remove_aside(tmp_path, "sub-02")
    assert list(tmp_path.iterdir()) == []
