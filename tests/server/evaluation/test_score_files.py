from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from common.arrays import FloatArray
from common.errors import GeometryError
from common.imaging.volume import Volume, write_volume
from common.metrics.presets import MSSEG2016
from server.evaluation.score_folders import score_files
from tests.volumes import oblique_affine

SHAPE = (9, 7, 5)
SPACING_MM = (0.75, 2.0, 1.5)  # 2.25 mm3 a voxel: a lesion has 2 or more; exact in float32


def written(path: Path, data: NDArray[Any], affine: FloatArray) -> Path:
    write_volume(Volume(data, affine), path)
    return path


def a_line() -> NDArray[np.uint8]:
    data = np.zeros(SHAPE, dtype=np.uint8)
    data[1:7, 3, 2] = 1
    return data


def test_a_prediction_on_another_grid_is_refused_unless_it_may_be_resampled(
    tmp_path: Path,
) -> None:
    affine = oblique_affine(SPACING_MM)
    cropped = affine.copy()
    cropped[:3, 3] += affine[:3, :3] @ (1, 2, 0)  # its voxel 0 is voxel (1, 2, 0) of the reference
    reference = written(tmp_path / "reference.nii.gz", a_line(), affine)
    prediction = written(tmp_path / "prediction.nii.gz", a_line()[1:, 2:], cropped)
    with pytest.raises(GeometryError, match="on one grid"):
        score_files(reference, prediction, definition=MSSEG2016)
    scored = score_files(reference, prediction, definition=MSSEG2016, resample=True)
    assert scored.metrics()["dice"] == 1.0
    assert scored.metrics()["hausdorff_mm"] == 0.0
    [note] = scored.notes
    assert note.startswith("prediction: resampled by the nearest voxel from shape (8, 5, 5)")


def test_on_one_grid_nothing_is_resampled(tmp_path: Path) -> None:
    reference = written(tmp_path / "reference.nii.gz", a_line(), oblique_affine(SPACING_MM))
    prediction = written(tmp_path / "prediction.nii.gz", a_line(), oblique_affine(SPACING_MM))
    scored = score_files(reference, prediction, definition=MSSEG2016, resample=True)
    assert scored.notes == ()


def test_another_storage_order_is_no_other_grid(tmp_path: Path) -> None:
    affine = oblique_affine(SPACING_MM)
    backwards = affine @ np.array(
        [[0, -1, 0, SHAPE[0] - 1], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=np.float64
    )  # its j runs down i, its i runs up j
    reference = written(tmp_path / "reference.nii.gz", a_line(), affine)
    found = a_line()
    found[6, 3, 2], found[7, 3, 2] = 0, 1  # 5 of 6 voxels agree
    prediction = written(tmp_path / "prediction.nii.gz", found[::-1].transpose(1, 0, 2), backwards)
    scored = score_files(reference, prediction, definition=MSSEG2016)
    assert scored.metrics()["dice"] == pytest.approx(10 / 12)
    assert scored.metrics()["hausdorff_mm"] == pytest.approx(0.75)  # one voxel along i
    assert scored.notes == ()


def test_probabilities_on_another_grid_are_resampled_before_the_threshold(tmp_path: Path) -> None:
    affine = oblique_affine(SPACING_MM)
    cropped = affine.copy()
    cropped[:3, 3] += affine[:3, :3] @ (1, 2, 0)
    reference = written(tmp_path / "reference.nii.gz", a_line(), affine)
    probability = (a_line() * np.float32(0.75))[1:, 2:]
    prediction = written(tmp_path / "prediction.nii.gz", probability, cropped)
    scored = score_files(reference, prediction, definition=MSSEG2016, threshold=0.5, resample=True)
    assert scored.metrics()["dice"] == 1.0
    assert len(scored.notes) == 2


def test_lesion_outside_the_reference_is_left_out_with_a_note(tmp_path: Path) -> None:
    small = np.zeros((4, 4, 4), dtype=np.uint8)
    small[1:3, 1, 1] = 1
    large = np.zeros((8, 4, 4), dtype=np.uint8)
    large[1:3, 1, 1] = 1
    large[6, 2, 1:4] = 1  # three voxels beyond the reference's grid
    write_volume(Volume(small, np.diag([1.0, 1.0, 3.0, 1.0])), tmp_path / "reference.nii.gz")
    write_volume(Volume(large, np.diag([1.0, 1.0, 3.0, 1.0])), tmp_path / "prediction.nii.gz")
    scored = score_files(
        tmp_path / "reference.nii.gz",
        tmp_path / "prediction.nii.gz",
        definition=MSSEG2016,
        resample=True,
    )
    assert scored.metrics()["dice"] == 1.0
    assert scored.notes[1] == (
        "prediction: 3 lesion voxels lie outside the reference's field of view and are left out"
    )
