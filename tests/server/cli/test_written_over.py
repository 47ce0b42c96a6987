"""What a command is told to write over, or cannot write, is refused before anything is read.

No file here is an image or a model: a command that read one would fail with another message.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.cli import main


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where images, masks, a model and a result lie that hold their own names."""
    for name in ("FLAIR.nii.gz", "T1w.nii.gz", "brain.nii.gz", "model.safetensors", "old.csv"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    for name in ("mask.nii.gz", "reference.nii.gz", "prediction.nii.gz"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "here").symlink_to(tmp_path)
    os.link(tmp_path / "T1w.nii.gz", tmp_path / "T1w-again.nii.gz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


PREDICT = ["predict", "--model", "model.safetensors"]
BOTH = [*PREDICT, "--flair", "FLAIR.nii.gz", "--t1", "T1w.nii.gz"]
SCORE = ["score", "reference.nii.gz", "prediction.nii.gz"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([*BOTH, "--out", "here/FLAIR.nii.gz"], "--out here/FLAIR.nii.gz is the same file as"),
        ([*BOTH, "--out", "T1w-again.nii.gz"], "is the same file as --t1 T1w.nii.gz"),
        ([*BOTH, "--out", "new.nii", "--probability", "./new.nii"], "are the same file"),
        (
            [*BOTH, "--out", "new.nii", "--probability", "here/T1w.nii.gz"],
            "--probability here/T1w.nii.gz is the same file as --t1",
        ),
        (
            [*BOTH, "--out", "brain.nii.gz", "--brain-mask", "./brain.nii.gz"],
            "is the same file as --brain-mask",
        ),
        ([*BOTH, "--out", "model.safetensors"], "is the same file as --model model.safetensors"),
        (
            [*BOTH, "--flair", "brain.nii.gz", "--out", "new.nii"],
            "--flair: want one file, got FLAIR.nii.gz, brain.nii.gz. Of two dates give --image "
            "FLAIR-1=FILE and --image FLAIR-2=FILE.",
        ),
        (
            [*BOTH, "--image", "T2w=brain.nii.gz", "--image", "T2w=old.csv", "--out", "new.nii"],
            "--image T2w=old.csv: T2w is brain.nii.gz already. Name each modality once.",
        ),
        (
            [
                *(*PREDICT, "--flair", "T1w.nii.gz"),
                *("--t1", "T1w-again.nii.gz", "--out", "new.nii"),
            ],
            "--flair T1w.nii.gz and --t1 T1w-again.nii.gz are the same file",
        ),
        (
            [*BOTH, "--brain-mask", "here/FLAIR.nii.gz", "--out", "new.nii"],
            "--flair FLAIR.nii.gz and --brain-mask here/FLAIR.nii.gz are the same file",
        ),
        ([*BOTH, "--out", "nowhere/new.nii"], "--out nowhere/new.nii: no such folder nowhere."),
        (
            [*BOTH, "--out", "new.nii", "--probability", "nowhere/p.nii"],
            "--probability nowhere/p.nii: no such folder",
        ),
        ([*BOTH, "--out", "new.mgz"], "--out new.mgz: want a file name in .nii.gz or .nii"),
        ([*BOTH, "--out", "mask.nii.gz"], "not written over. Choose another name, or"),
        (
            [*PREDICT, "--flair", "nowhere.nii", "--out", "new.nii"],
            "--flair nowhere.nii: no such file",
        ),
        (
            ["predict", "--model", "nowhere.safetensors", *BOTH[3:], "--out", "new.nii"],
            "--model nowhere.safetensors: no such file",
        ),
        ([*SCORE, "--out", "reference.nii.gz"], "is the same file as REF reference.nii.gz"),
        ([*SCORE, "--lesions", "here/prediction.nii.gz"], "is the same file as PRED"),
        ([*SCORE, "--out", "a.csv", "--lesions", "./A.csv"], "are the same file"),
        ([*SCORE, "--out", "old.csv"], "--out old.csv: there is a file of this name"),
        ([*SCORE, "--lesions", "nowhere/l.csv"], "--lesions nowhere/l.csv: no such folder"),
        (["score", ".", ".", "--out", "mask.nii.gz", "--overwrite"], "lies in the folder REF"),
        (["compare", "a", "b", "--csv", "old.csv"], "--csv old.csv: there is a file of this name"),
        (["compare", "old.csv", "b", "--csv", "here/old.csv", "--overwrite"], "same file as RUN 1"),
    ],
)
def test_it_is_refused_and_every_file_stays_as_it_was(
    files: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    for path in files.glob("*.*"):
        name = "T1w.nii.gz" if path.name == "T1w-again.nii.gz" else path.name
        assert path.read_text("utf-8") == name


@pytest.mark.parametrize("command", ["simulate", "leave-site-out", "study"])
@pytest.mark.parametrize("out", ["sites/lyon", "sites/lyon/run", "here/sites/lyon/run", "sites"])
def test_a_run_is_kept_apart_from_the_sites_that_it_reads(
    files: Path, command: str, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = []
    for name in ("lyon", "ghent", "turin"):
        (files / "sites" / name).mkdir(parents=True)
        sites += ["--site", f"{name}=sites/{name}"]
    assert main([command, *sites, "--out", out, "--scale", "small"]) in (1, 2)
    error = " ".join(capsys.readouterr().err.split())
    assert "lies inside it" in error or "is not empty" in error
    assert not list((files / "sites").glob("*/*"))


@pytest.mark.parametrize("out", ["site", "site/deep", "old.csv", "first"])
def test_an_evaluation_is_kept_apart_and_none_is_written_over(
    files: Path, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "site").mkdir()
    (files / "first").mkdir()
    (files / "first" / "cases.csv").write_text("cases.csv", encoding="utf-8")
    arguments = ["evaluate", "model.safetensors", "--held-out", "porto=site", "--out", out]
    assert main(arguments) == 2
    error = " ".join(capsys.readouterr().err.split())
    told = {"first": "cases.csv: there is a file of this name", "old.csv": "this is a file"}
    assert told.get(out, "lies inside it") in error
    assert not list((files / "site").iterdir())


def test_a_sweep_is_not_written_over(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "site").mkdir()
    (files / "sweep").mkdir()
    (files / "sweep" / "thresholds.csv").write_text("mine", encoding="utf-8")
    arguments = ["threshold", "model.safetensors", "--on", "turin=site", "--out", "sweep"]
    assert main(arguments) == 2
    assert "thresholds.csv: there is a file of this name" in capsys.readouterr().err


def test_a_run_is_not_begun_in_a_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "site").mkdir()
    arguments = ["simulate", "--site", "lyon=site", "--out", "old.csv"]
    assert main(arguments) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "--out old.csv: want a folder, this is a file. Choose another name." in error
