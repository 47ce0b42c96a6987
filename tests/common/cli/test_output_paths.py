from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.cli.output_paths import (
    require_input_files,
    require_output_files,
    require_output_folder,
)
from common.errors import ConfigError
from common.files import is_same_path


@pytest.fixture
def flair(tmp_path: Path) -> Path:
    """An image beside a folder `other` and a folder of links to it."""
    (tmp_path / "other").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path)
    path = tmp_path / "FLAIR.nii.gz"
    path.write_bytes(b"image")
    (tmp_path / "link.nii.gz").symlink_to(path)
    os.link(path, tmp_path / "hard.nii.gz")
    return path


NAMES_OF_FLAIR = [
    "FLAIR.nii.gz",
    "./FLAIR.nii.gz",
    "other/../FLAIR.nii.gz",
    "linked/FLAIR.nii.gz",
    "link.nii.gz",
    "hard.nii.gz",
    "flair.nii.gz",  # on some disks
]


@pytest.mark.parametrize("name", NAMES_OF_FLAIR)
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_input_is_never_written_over_by_whatever_name(
    flair: Path, monkeypatch: pytest.MonkeyPatch, name: str, overwrite: bool
) -> None:
    monkeypatch.chdir(flair.parent)
    with pytest.raises(ConfigError, match=r"--out .* is the same file as --image FLAIR .*lost"):
        require_output_files(
            {"--out": Path(name)}, reads={"--image FLAIR": flair}, overwrite=overwrite
        )


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_outputs_are_two_files_though_neither_is_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    writes = {"--out": tmp_path / "mask.nii.gz", "--probability": Path("./Mask.nii.gz")}
    with pytest.raises(ConfigError, match=r"--out .* and --probability .* are the same file"):
        require_output_files(writes, reads={}, overwrite=overwrite)


def test_two_files_that_are_there_are_two_whatever_they_are_called(tmp_path: Path) -> None:
    capital, small = tmp_path / "FLAIR.nii", tmp_path / "flair.nii"
    capital.write_bytes(b"one")
    small.write_bytes(b"two")
    if capital.read_bytes() == b"two":
        pytest.skip("this disk does not tell small from capital letters")
    assert not is_same_path(capital, small)


def test_a_link_to_nowhere_and_what_it_would_lead_to_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "made.csv")
    assert is_same_path(tmp_path / "link.csv", tmp_path / "made.csv")
    assert not is_same_path(tmp_path / "link.csv", tmp_path / "made2.csv")


def test_a_link_that_leads_to_itself_is_refused_and_not_a_fault(tmp_path: Path) -> None:
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    with pytest.raises(ConfigError, match="there is a file of this name"):
        require_output_files({"--out": loop}, reads={})


def test_a_file_that_is_there_wants_overwrite(tmp_path: Path) -> None:
    mine = tmp_path / "scores.csv"
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"--out .*scores.csv: there is a file.*--overwrite"):
        require_output_files({"--out": mine}, reads={})
    require_output_files({"--out": mine}, reads={}, overwrite=True)
    require_output_files({"--out": tmp_path / "new.csv"}, reads={})


def test_a_file_of_a_folder_that_is_read_is_never_written_over(flair: Path) -> None:
    site = flair.parent
    for name in ("FLAIR.nii.gz", "linked/FLAIR.nii.gz", "link.nii.gz"):
        with pytest.raises(ConfigError, match=r"lies in the folder PRED .* not written over"):
            require_output_files({"--out": site / name}, reads={"PRED": site}, overwrite=True)
    require_output_files({"--out": site / "scores.csv"}, reads={"PRED": site})  # a new one may


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere/mask.nii.gz", "no such folder .*nowhere. Make it first"),
        ("other", "want a file, this is a folder"),
        ("mask.mgz", "want a file name in .nii or .nii.gz"),
        ("FLAIR.nii.gz/mask.nii.gz", "no such folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_said_before(flair: Path, name: str, told: str) -> None:
    endings = () if name == "other" else (".nii", ".nii.gz")
    with pytest.raises(ConfigError, match=f"--out .*{told}"):
        require_output_files({"--out": flair.parent / name}, reads={}, endings=endings)


def test_a_device_is_no_file_to_write_over() -> None:
    with pytest.raises(ConfigError, match="--out /dev/null: want a file, this is a device"):
        require_output_files({"--out": Path("/dev/null")}, reads={}, overwrite=True)


def test_a_folder_that_may_not_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    allowed = os.access  # root may write everywhere: the answer of a closed folder is put in
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed and allowed(path, mode))
    with pytest.raises(ConfigError, match=r"the folder .*closed may not be written"):
        require_output_files({"--out": closed / "mask.nii"}, reads={})
    with pytest.raises(ConfigError, match=r"the folder .*closed may not be written"):
        require_output_folder("--out", closed / "deep" / "run", reads={})


def test_each_input_is_there_and_a_file_of_its_own(flair: Path) -> None:
    folder = flair.parent
    for name in NAMES_OF_FLAIR[:-1]:
        with pytest.raises(ConfigError, match=r"FLAIR .* and --image T1w .* are the same file"):
            require_input_files({"--image FLAIR": flair, "--image T1w": folder / name})
    with pytest.raises(ConfigError, match=r"--image T1w .*nowhere.nii: no such file"):
        require_input_files({"--image FLAIR": flair, "--image T1w": folder / "nowhere.nii"})
    with pytest.raises(ConfigError, match=r"MODEL .*other: want a file, this is a folder"):
        require_input_files({"MODEL": folder / "other"})
    require_input_files({"MODEL": flair, "--brain-mask": None})


def test_a_folder_to_write_lies_apart_from_those_that_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "lyon"
    (site / "sub-01").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(site)
    monkeypatch.chdir(tmp_path)
    for out in ("lyon", "lyon/run", "./alias/deep/run", "lyon/sub-01", "."):
        with pytest.raises(ConfigError, match=r"--out .* and --site lyon .*lies inside"):
            require_output_folder("--out", Path(out), reads={"--site lyon": site})
    require_output_folder("--out", Path("runs/new"), reads={"--site lyon": site})
    require_output_folder("--out", Path("lyon2"), reads={"--site lyon": site})


def test_a_folder_to_write_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="want a folder, this is a file"):
        require_output_folder("--out", tmp_path / "run", reads={})
    with pytest.raises(ConfigError, match="run is no folder"):
        require_output_folder("--out", tmp_path / "run" / "inner", reads={})
