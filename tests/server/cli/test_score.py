from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from common.arrays import FloatArray
from common.imaging.volume import Volume, write_volume
from common.metrics.presets import MSSEG2016
from server.cli import main

SHAPE = (12, 7, 5)

# 30 degrees about k; spacing 1 x 0.5 x 2 mm, so a voxel is 1 mm3 and a lesion has 4 or more
OBLIQUE = np.array(
    [
        [np.cos(np.pi / 6), -0.5 * np.sin(np.pi / 6), 0.0, -20.0],
        [np.sin(np.pi / 6), 0.5 * np.cos(np.pi / 6), 0.0, 31.0],
        [0.0, 0.0, 2.0, -7.5],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


@dataclass(frozen=True)
class Shown:
    exit_code: int
    stdout: str
    stderr: str


Run = Callable[..., Shown]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `lesionfed score` with these arguments."""

    def run(*args: str | Path) -> Shown:
        code = main(["score", *(str(arg) for arg in args)])
        shown = capsys.readouterr()
        return Shown(code, shown.out, shown.err)

    return run


def image(path: Path, data: NDArray[Any], affine: FloatArray = OBLIQUE) -> Path:
    write_volume(Volume(data, affine), path)
    return path


def reference_data() -> NDArray[np.uint8]:
    """One lesion of 10 voxels."""
    data = np.zeros(SHAPE, dtype=np.uint8)
    data[0:10, 1, 1] = 1
    return data


def prediction_data() -> NDArray[np.uint8]:
    """6 voxels of the lesion, and a false one of 4 voxels."""
    data = np.zeros(SHAPE, dtype=np.uint8)
    data[4:10, 1, 1] = 1
    data[0:4, 5, 3] = 1
    return data


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return image(tmp_path / "reference.nii.gz", reference_data())


@pytest.fixture
def prediction(tmp_path: Path) -> Path:
    return image(tmp_path / "prediction.nii.gz", prediction_data())


def test_json_holds_every_metric_the_definition_and_the_notes(
    run: Run, reference: Path, prediction: Path
) -> None:
    result = run(reference, prediction, "--preset", "msseg2016", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        "dice": 12 / 20,
        "jaccard": 6 / 14,
        "sensitivity": 6 / 10,
        "specificity": 406 / 410,  # 12 * 7 * 5 = 420 voxels
        "ppv": 6 / 10,
        "npv": 406 / 410,
        "relative_volume_error_pct": 0.0,
        # the false lesion lies 4 x 0.5 mm along j and 2 x 2 mm along k from the reference: sqrt(20)
        "hausdorff_mm": pytest.approx(20**0.5, rel=1e-6),
        "hd95_mm": pytest.approx(20**0.5, rel=1e-6),
        # back: (6 x 0 + 4 x sqrt(20)) / 10; there: (4 + 3 + 2 + 1) / 10 is less
        "contour_mean_distance_mm": pytest.approx(0.4 * 20**0.5, rel=1e-6),
        "assd_mm": pytest.approx((10 + 4 * 20**0.5) / 20, rel=1e-6),
        "lesion_sensitivity": 1.0,
        "lesion_ppv": 0.5,
        "lesion_f1": 1 / 1.5,
        "ltpr": 1.0,
        "lfpr": 0.5,
        "n_reference_lesions": 1,
        "n_predicted_lesions": 2,
        "reference_volume_mm3": pytest.approx(10.0, rel=1e-6),
        "predicted_volume_mm3": pytest.approx(10.0, rel=1e-6),
        "tp_voxels": 6,
        "fp_voxels": 4,
        "fn_voxels": 4,
        "definition": MSSEG2016.as_dict(),
        "notes": [],
    }


def test_the_table_names_the_definition_and_says_undefined(
    run: Run, tmp_path: Path, prediction: Path
) -> None:
    lesion_free = image(tmp_path / "free.nii.gz", np.zeros(SHAPE, dtype=np.uint8))
    result = run(lesion_free, prediction)
    assert result.exit_code == 0, result.stderr
    words = " ".join(result.stdout.split())
    assert "dice │ undefined" in words
    assert "n_predicted_lesions │ 2" in words
    assert "msseg2016: 6-connectivity" in words
    assert "None" not in words


def test_undefined_is_null_in_json(run: Run, tmp_path: Path, prediction: Path) -> None:
    lesion_free = image(tmp_path / "free.nii.gz", np.zeros(SHAPE, dtype=np.uint8))
    scored = json.loads(run(lesion_free, prediction, "--json").stdout)
    assert scored["dice"] is None
    assert scored["n_reference_lesions"] is None
    assert scored["n_predicted_lesions"] == 2


def test_several_labels_are_a_note(run: Run, tmp_path: Path, prediction: Path) -> None:
    labels = reference_data()
    labels[0:3, 1, 1] = 2
    result = run(image(tmp_path / "labels.nii.gz", labels), prediction, "--json")
    scored = json.loads(result.stdout)
    assert scored["notes"] == ["reference: 2 labels (1, 2) taken together as lesion"]
    assert scored["dice"] == 0.6
    assert "note: reference: 2 labels" in run(tmp_path / "labels.nii.gz", prediction).stdout


def test_a_probability_map_needs_a_threshold(run: Run, tmp_path: Path, reference: Path) -> None:
    probability = image(tmp_path / "p.nii.gz", prediction_data() * np.float32(0.75))
    refused = run(reference, probability, "--json")
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert "SiteDataError: prediction: want a mask of whole numbers" in refused.stderr
    assert "Give a threshold" in refused.stderr

    scored = json.loads(run(reference, probability, "--threshold", "0.5", "--json").stdout)
    assert scored["dice"] == 0.6
    assert scored["notes"] == ["prediction: a probability map; lesion is above 0.5"]


def test_another_grid_is_refused_with_both_affines(
    run: Run, tmp_path: Path, reference: Path
) -> None:
    moved = OBLIQUE.copy()
    moved[0, 3] += 0.002  # twice the tolerance
    elsewhere = image(tmp_path / "elsewhere.nii.gz", prediction_data(), moved)
    result = run(reference, elsewhere)
    assert result.exit_code == 1
    assert "GeometryError: want" in result.stderr
    assert "-20;" in result.stderr
    assert "-19.998;" in result.stderr


def test_a_grid_moved_by_less_than_the_tolerance_is_the_same(
    run: Run, tmp_path: Path, reference: Path
) -> None:
    moved = OBLIQUE.copy()
    moved[0, 3] += 0.0005
    near = image(tmp_path / "near.nii.gz", prediction_data(), moved)
    assert run(reference, near).exit_code == 0


def test_another_shape_is_refused(run: Run, tmp_path: Path, reference: Path) -> None:
    short = image(tmp_path / "short.nii.gz", prediction_data()[:, :, :4])
    result = run(reference, short)
    assert result.exit_code == 1
    assert "shape (12, 7, 5)" in result.stderr
    assert "shape (12, 7, 4)" in result.stderr


def test_a_series_of_volumes_is_refused(run: Run, tmp_path: Path, reference: Path) -> None:
    series = tmp_path / "series.nii.gz"
    four_axes = np.zeros((*SHAPE, 2), dtype=np.uint8)
    nib.save(nib.Nifti1Image(four_axes, OBLIQUE), series)  # type: ignore[no-untyped-call] # nibabel has no types
    result = run(reference, series)
    assert result.exit_code == 1
    assert "want three axes (i, j, k), found shape (12, 7, 5, 2)" in result.stderr


def test_nan_is_refused(run: Run, tmp_path: Path, reference: Path) -> None:
    data = prediction_data().astype(np.float32)
    data[0, 0, 0] = np.nan
    result = run(reference, image(tmp_path / "nan.nii.gz", data), "--threshold", "0.5")
    assert result.exit_code == 1
    assert "prediction: want a finite number in every voxel, found 1 NaN" in result.stderr


def test_a_missing_and_a_damaged_file_are_refused_by_name(
    run: Run, tmp_path: Path, reference: Path
) -> None:
    missing = run(reference, tmp_path / "nowhere.nii.gz")
    assert missing.exit_code == 1
    assert "nowhere.nii.gz: no such file" in missing.stderr

    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(reference.read_bytes()[:60])
    result = run(reference, damaged)
    assert result.exit_code == 1
    assert "damaged.nii.gz: truncated" in result.stderr


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--preset", "msseg2015"], "Usage:"),
        (["--treshold", "0.5"], "Usage:"),
        (["--workers", "0"], "Usage:"),
        (["--threshold", "1.5"], "--threshold: want a probability from 0 to 1, got 1.5"),
        (["--threshold", "-0.1"], "--threshold: want a probability from 0 to 1, got -0.1"),
        (["--threshold", "nan"], "--threshold: want a probability from 0 to 1, got nan"),
        (["--out", "nowhere/scores.csv"], "--out nowhere/scores.csv: no such folder nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_a_usage_error(
    run: Run, wrong: list[str], told: str, reference: Path, prediction: Path
) -> None:
    result = run(reference, prediction, *wrong)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_file_and_a_folder_are_no_pair(run: Run, tmp_path: Path, reference: Path) -> None:
    result = run(reference, tmp_path)
    assert result.exit_code == 2
    assert "want two files or two folders" in result.stderr
    assert "reference.nii.gz is a file" in result.stderr
    assert f"{tmp_path} is a folder" in result.stderr
    assert "nowhere is nothing" in run(tmp_path / "nowhere", tmp_path).stderr


def test_another_grid_is_taken_with_resample_and_noted(
    run: Run, tmp_path: Path, reference: Path
) -> None:
    moved = OBLIQUE.copy()
    moved[:3, 3] += OBLIQUE[:3, 0]  # one voxel along i: what lay at i = 4..9 lies at 5..10
    elsewhere = image(tmp_path / "elsewhere.nii.gz", prediction_data(), moved)
    refused = run(reference, elsewhere)
    assert refused.exit_code == 1
    assert "Or give --resample" in refused.stderr

    result = run(reference, elsewhere, "--resample", "--json")
    assert result.exit_code == 0, result.stderr
    scored = json.loads(result.stdout)
    assert (scored["tp_voxels"], scored["fp_voxels"], scored["fn_voxels"]) == (5, 5, 5)
    assert "resampled by the nearest voxel" in scored["notes"][0]


def test_a_single_pair_is_written_as_rows_too(
    run: Run, tmp_path: Path, reference: Path, prediction: Path
) -> None:
    cases, lesions = tmp_path / "cases.csv", tmp_path / "lesions.csv"
    result = run(reference, prediction, "--out", cases, "--lesions", lesions)
    assert result.exit_code == 0, result.stderr
    [row] = csv.DictReader(cases.read_text().splitlines())
    assert (row["case"], row["failed"], row["dice"]) == ("reference", "", "0.6")
    rows = list(csv.DictReader(lesions.read_text().splitlines()))
    assert [(row["mask"], row["n_voxels"], row["detected"], row["overlap"]) for row in rows] == [
        ("reference", "10", "1", "0.6"),
        ("prediction", "6", "1", "1.0"),
        ("prediction", "4", "0", "0.0"),
    ]
    # the reference's centre is voxel (4.5, 1, 1): 4.5 along i, 0.5 along j, 2 along k
    expected = OBLIQUE @ [4.5, 1.0, 1.0, 1.0]
    centre = [float(rows[0][axis]) for axis in ("x_mm", "y_mm", "z_mm")]
    np.testing.assert_allclose(centre, expected[:3], rtol=1e-5)


def test_a_missing_argument_is_a_usage_error(run: Run, reference: Path) -> None:
    assert run(reference).exit_code == 2


def test_the_command_is_imported_without_numpy() -> None:
    code = "import sys, server.cli.score; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_prediction_that_is_the_reference_itself_is_a_note(run: Run, reference: Path) -> None:
    link = reference.with_name("link.nii.gz")
    link.symlink_to(reference)
    shown = run(reference, link, "--json")
    assert json.loads(shown.stdout)["notes"] == [
        "prediction: it is the file of the reference itself"
    ]


def test_what_two_names_say_against_it_is_a_warning(run: Run, tmp_path: Path) -> None:
    brain = image(tmp_path / "sub-1_desc-brain_mask.nii.gz", reference_data())
    other = image(tmp_path / "sub-2_desc-lesion_pred.nii.gz", prediction_data())
    shown = run(brain, other, "--json")
    assert "sub-1_desc-brain_mask.nii.gz is, by its name, a mask of the brain" in shown.stderr
    assert "the names of REF and PRED differ in sub-" in shown.stderr
    new = image(tmp_path / "sub-2_desc-newlesion_mask.nii.gz", reference_data())
    assert "REF shows newlesion and PRED lesion" in run(new, other, "--json").stderr


def test_two_grids_are_refused_with_what_is_odd_about_a_header(
    run: Run, reference: Path, tmp_path: Path
) -> None:
    moved = image(tmp_path / "unplaced.nii", reference_data())
    content = bytearray(moved.read_bytes())
    content[252:256] = bytes(4)  # qform_code and sform_code
    moved.write_bytes(content)
    assert "Note: prediction: neither sform nor qform has a code" in run(reference, moved).stderr
