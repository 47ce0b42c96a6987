from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import typer
from click.testing import Result
from numpy.typing import NDArray
from typer.testing import CliRunner

from common.imaging.volume import Volume, write_volume
from common.metrics.presets import MSSEG2016
from server.cli.score import score

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


def run(*args: str | Path) -> Result:
    app = typer.Typer()
    app.command()(score)
    return CliRunner().invoke(app, [str(arg) for arg in args])


def image(path: Path, data: NDArray[Any], affine: NDArray[np.float64] = OBLIQUE) -> Path:
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
    reference: Path, prediction: Path
) -> None:
    result = run(reference, prediction, "--preset", "msseg2016", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "dice": 12 / 20,
        "jaccard": 6 / 14,
        "sensitivity": 6 / 10,
        "specificity": 406 / 410,  # 12 * 7 * 5 = 420 voxels
        "ppv": 6 / 10,
        "npv": 406 / 410,
        "relative_volume_error_pct": 0.0,
        "lesion_sensitivity": 1.0,
        "lesion_ppv": 0.5,
        "lesion_f1": 1 / 1.5,
        "n_reference_lesions": 1,
        "n_predicted_lesions": 2,
        "reference_volume_mm3": pytest.approx(10.0, rel=1e-6),
        "predicted_volume_mm3": pytest.approx(10.0, rel=1e-6),
        "definition": MSSEG2016.as_dict(),
        "notes": [],
    }


def test_the_table_names_the_definition_and_says_undefined(
    tmp_path: Path, prediction: Path
) -> None:
    lesion_free = image(tmp_path / "free.nii.gz", np.zeros(SHAPE, dtype=np.uint8))
    result = run(lesion_free, prediction)
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert "dice │ undefined" in words
    assert "n_predicted_lesions │ 2" in words
    assert "msseg2016: 6-connectivity" in words
    assert "None" not in words


def test_undefined_is_null_in_json(tmp_path: Path, prediction: Path) -> None:
    lesion_free = image(tmp_path / "free.nii.gz", np.zeros(SHAPE, dtype=np.uint8))
    scored = json.loads(run(lesion_free, prediction, "--json").stdout)
    assert scored["dice"] is None
    assert scored["n_reference_lesions"] is None
    assert scored["n_predicted_lesions"] == 2


def test_several_labels_are_a_note(tmp_path: Path, prediction: Path) -> None:
    labels = reference_data()
    labels[0:3, 1, 1] = 2
    result = run(image(tmp_path / "labels.nii.gz", labels), prediction, "--json")
    scored = json.loads(result.stdout)
    assert scored["notes"] == ["reference: 2 labels (1, 2) taken together as lesion"]
    assert scored["dice"] == 0.6
    assert "note: reference: 2 labels" in run(tmp_path / "labels.nii.gz", prediction).stdout


def test_a_probability_map_needs_a_threshold(tmp_path: Path, reference: Path) -> None:
    probability = image(tmp_path / "p.nii.gz", prediction_data() * np.float32(0.75))
    refused = run(reference, probability, "--json")
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert "SiteDataError: prediction: want a mask of whole numbers" in refused.stderr
    assert "Give a threshold" in refused.stderr

    scored = json.loads(run(reference, probability, "--threshold", "0.5", "--json").stdout)
    assert scored["dice"] == 0.6
    assert scored["notes"] == ["prediction: a probability map; lesion is above 0.5"]


def test_another_grid_is_refused_with_both_affines(tmp_path: Path, reference: Path) -> None:
    moved = OBLIQUE.copy()
    moved[0, 3] += 0.002  # twice the tolerance
    elsewhere = image(tmp_path / "elsewhere.nii.gz", prediction_data(), moved)
    result = run(reference, elsewhere)
    assert result.exit_code == 1
    assert "GeometryError: want" in result.stderr
    assert "-20;" in result.stderr
    assert "-19.998;" in result.stderr


def test_a_grid_moved_by_less_than_the_tolerance_is_the_same(
    tmp_path: Path, reference: Path
) -> None:
    moved = OBLIQUE.copy()
    moved[0, 3] += 0.0005
    near = image(tmp_path / "near.nii.gz", prediction_data(), moved)
    assert run(reference, near).exit_code == 0


def test_another_shape_is_refused(tmp_path: Path, reference: Path) -> None:
    short = image(tmp_path / "short.nii.gz", prediction_data()[:, :, :4])
    result = run(reference, short)
    assert result.exit_code == 1
    assert "shape (12, 7, 5)" in result.stderr
    assert "shape (12, 7, 4)" in result.stderr


def test_a_series_of_volumes_is_refused(tmp_path: Path, reference: Path) -> None:
    series = tmp_path / "series.nii.gz"
    four_axes = np.zeros((*SHAPE, 2), dtype=np.uint8)
    nib.save(nib.Nifti1Image(four_axes, OBLIQUE), series)  # type: ignore[no-untyped-call] # nibabel has no types
    result = run(reference, series)
    assert result.exit_code == 1
    assert "want three axes (i, j, k), found shape (12, 7, 5, 2)" in result.stderr


def test_nan_is_refused(tmp_path: Path, reference: Path) -> None:
    data = prediction_data().astype(np.float32)
    data[0, 0, 0] = np.nan
    result = run(reference, image(tmp_path / "nan.nii.gz", data), "--threshold", "0.5")
    assert result.exit_code == 1
    assert "prediction: want a finite number in every voxel, found 1 NaN" in result.stderr


def test_a_missing_and_a_damaged_file_are_refused_by_name(tmp_path: Path, reference: Path) -> None:
    missing = run(reference, tmp_path / "nowhere.nii.gz")
    assert missing.exit_code == 1
    assert "nowhere.nii.gz: no such file" in missing.stderr

    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(reference.read_bytes()[:60])
    result = run(reference, damaged)
    assert result.exit_code == 1
    assert "damaged.nii.gz: truncated" in result.stderr


@pytest.mark.parametrize(
    "wrong",
    [["--preset", "msseg2015"], ["--threshold", "1.5"], ["--treshold", "0.5"]],
    ids=lambda wrong: " ".join(wrong),
)
def test_a_wrong_option_is_a_usage_error(
    wrong: list[str], reference: Path, prediction: Path
) -> None:
    result = run(reference, prediction, *wrong)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_a_missing_argument_is_a_usage_error(reference: Path) -> None:
    assert run(reference).exit_code == 2


def test_the_command_is_imported_without_numpy() -> None:
    code = "import sys, server.cli.score; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
