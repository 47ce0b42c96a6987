"""`lesionfed score` over two folders."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from common.imaging.volume import Volume, write_volume
from common.metrics.presets import ISBI2015
from server.cli import main

SKEWED = np.diag([1.0, 0.5, 2.0, 1.0])
SKEWED[:3, 3] = (-4.0, 7.0, 1.5)


def bar(start: int, stop: int) -> NDArray[np.uint8]:
    """One lesion: a row of 1 mm3 voxels along i."""
    data = np.zeros((12, 7, 5), dtype=np.uint8)
    data[start:stop, 3, 2] = 1
    return data


def image(path: Path, data: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(Volume(data, SKEWED), path)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """Two cases with a prediction by another name, sub-03 without one, sub-04 predicted only."""
    for subject in ("01", "02", "03"):
        image(tmp_path / "ref" / f"sub-{subject}_desc-lesion_mask.nii.gz", bar(2, 10))
    image(tmp_path / "pred" / "sub-01_pred.nii.gz", bar(2, 10))
    image(tmp_path / "pred" / "sub-02_pred.nii.gz", bar(6, 10))
    image(tmp_path / "pred" / "sub-04_pred.nii.gz", bar(6, 10))
    return str(tmp_path / "ref"), str(tmp_path / "pred")


def test_every_planned_case_is_a_row_and_a_missing_one_fails_the_command(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, lesions = tmp_path / "scores.csv", tmp_path / "lesions.csv"
    options = ["--workers", "1", "--out", str(out), "--lesions", str(lesions)]
    assert main(["score", *folders, *options]) == 1
    shown = capsys.readouterr()
    assert "failed: sub-03_desc-lesion_mask: no prediction" in shown.err
    assert "sub-04_pred.nii.gz: a prediction without a reference, not scored" in shown.err
    assert "cases: 3 planned, 2 scored" in shown.out
    assert "2/2" in shown.err  # the bar

    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["case"] for row in rows] == [
        f"sub-{subject}_desc-lesion_mask" for subject in ("01", "02", "03")
    ]
    assert [row["failed"] for row in rows] == ["", "", "no prediction"]
    assert [row["dice"] for row in rows] == ["1.0", str(2 * 4 / 12), ""]
    assert list(rows[0])[:3] == ["case", "failed", "dice"]
    listed = list(csv.DictReader(lesions.read_text().splitlines()))
    assert [(row["case"][:6], row["mask"], row["volume_mm3"]) for row in listed] == [
        ("sub-01", "reference", "8.0"),
        ("sub-01", "prediction", "8.0"),
        ("sub-02", "reference", "8.0"),
        ("sub-02", "prediction", "4.0"),
    ]


def test_json_holds_the_definition_the_cases_and_the_summary(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--workers", "1", "--quiet", "--preset", "isbi2015", "--json"]
    assert main(["score", *folders, *options]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert list(shown) == ["definition", "cases", "summary"]
    assert shown["definition"] == ISBI2015.as_dict()
    first, _, last = shown["cases"]
    assert (first["dice"], first["notes"], first["failed"]) == (1.0, [], None)
    assert last == {
        "case": "sub-03_desc-lesion_mask",
        "failed": "no prediction",
        "notes": [],
    }
    assert shown["summary"]["n_planned"] == 3
    assert shown["summary"]["metrics"]["dice"]["n"] == 2
    assert shown["summary"]["metrics"]["sensitivity"]["mean"] == (1 + 4 / 8) / 2


def test_a_whole_set_scored_is_a_success_without_a_word_on_stderr(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, prediction = folders
    (tmp_path / "ref" / "sub-03_desc-lesion_mask.nii.gz").unlink()
    (tmp_path / "pred" / "sub-04_pred.nii.gz").unlink()
    assert main(["score", reference, prediction, "--workers", "1", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_an_empty_folder_is_refused(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["score", folders[0], str(tmp_path / "empty")]) == 1
    told = capsys.readouterr().err
    assert "empty: want NIfTI files (.nii or .nii.gz), found none. Check the path" in told


def test_two_predictions_of_one_case_are_refused_by_name(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(tmp_path / "pred" / "sub-01_again.nii.gz", bar(2, 10))
    assert main(["score", *folders]) == 1
    told = capsys.readouterr().err
    assert "sub-01_again.nii.gz and" in told
    assert "sub-01_pred.nii.gz. Leave the right one" in told


def test_names_that_are_not_utf8_are_scored_and_print_escaped(tmp_path: Path) -> None:
    for name in ("Fran\udce7ois.nii.gz", "sub-1_desc-lesion_mask.nii.gz"):
        image(tmp_path / "ref" / name, bar(2, 10))
    image(tmp_path / "pred" / "Fran\udce7ois.nii.gz", bar(2, 6))
    image(tmp_path / "pred" / "sub-\udce9_pred.nii.gz", bar(2, 6))
    out = tmp_path / "scores.csv"
    code = "import sys; from server.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "score", str(tmp_path / "ref"), str(tmp_path / "pred")]
    done = subprocess.run([*command, "--workers", "1", "--json", "--out", out], capture_output=True)
    assert done.returncode == 1
    cases = json.loads(done.stdout.decode())["cases"]
    # 4 of 8 voxels found, none wrong: 2 * 4 / (8 + 4)
    assert [(case["case"], case.get("dice")) for case in cases] == [
        (r"Fran\xe7ois", 2 * 4 / 12),
        ("sub-1_desc-lesion_mask", None),
    ]
    assert rb"sub-\xe9_pred.nii.gz: a prediction without a reference" in done.stderr
    assert r"Fran\xe7ois" in out.read_text(encoding="utf-8")


def test_two_files_whose_names_contradict_each_other_are_scored_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "sub-1_ses-a_mask.nii.gz", tmp_path / "sub-1_ses-b_pred.nii.gz"]
    for file in files:
        image(file, bar(2, 10))
    assert main(["score", *map(str, files)]) == 0
    assert "warning: the names of REF and PRED differ in ses-" in capsys.readouterr().err
