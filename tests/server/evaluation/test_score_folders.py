from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from common.arrays import FloatArray
from common.errors import GeometryError
from common.imaging.volume import Volume, write_volume
from common.metrics.presets import ISBI2015, MSSEG2016
from server.evaluation.mask_pairs import Pair
from server.evaluation.score_folders import ScoredPair, Scoring, score_pair, score_pairs, summary

# 30 degrees about k; spacing 1 x 0.5 x 2 mm, so a voxel is 1 mm3
OBLIQUE = np.array(
    [
        [np.cos(np.pi / 6), -0.5 * np.sin(np.pi / 6), 0.0, -20.0],
        [np.sin(np.pi / 6), 0.5 * np.cos(np.pi / 6), 0.0, 31.0],
        [0.0, 0.0, 2.0, -7.5],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def bar(start: int, stop: int) -> NDArray[np.uint8]:
    """One lesion: a row of voxels along i."""
    data = np.zeros((12, 7, 5), dtype=np.uint8)
    data[start:stop, 3, 2] = 1
    return data


def image(path: Path, data: NDArray[np.uint8], affine: FloatArray = OBLIQUE) -> Path:
    write_volume(Volume(data, affine), path)
    return path


def pair(folder: Path, case: str, found: NDArray[np.uint8]) -> Pair:
    """A reference of 8 voxels, i = 2..9, and a prediction of it."""
    return Pair(
        case=case,
        reference=image(folder / f"{case}.nii.gz", bar(2, 10)),
        prediction=image(folder / f"{case}_pred.nii.gz", found),
    )


def test_rows_keep_their_order_and_a_failure_stops_no_other(tmp_path: Path) -> None:
    damaged = pair(tmp_path, "b", bar(2, 10))
    assert damaged.prediction is not None
    damaged.prediction.write_bytes(damaged.prediction.read_bytes()[:40])
    elsewhere = OBLIQUE.copy()
    elsewhere[2, 3] += 1.0
    moved = pair(tmp_path, "c", bar(2, 10))
    assert moved.prediction is not None
    image(moved.prediction, bar(2, 10), elsewhere)
    missing = Pair(case="d", reference=tmp_path / "a.nii.gz", prediction=None)
    pairs = [missing, pair(tmp_path, "a", bar(6, 10)), damaged, moved]
    n_calls = 0

    def count() -> None:
        nonlocal n_calls
        n_calls += 1

    scored = score_pairs(pairs, Scoring(definition=MSSEG2016), n_workers=2, on_scored=count)
    assert [case.case for case in scored] == ["d", "a", "b", "c"]
    assert n_calls == 3
    assert scored[0].failed == "no prediction"
    assert scored[1].failed is None
    assert scored[1].as_dict()["dice"] == 2 * 4 / (8 + 4)
    assert scored[2].failed is not None
    assert scored[2].failed.startswith("VolumeFault: ")
    assert "b_pred.nii.gz: truncated" in scored[2].failed
    assert scored[3].failed is not None
    assert scored[3].failed.startswith("GeometryError: ")
    assert scored[3].failed.count("affine") == 2
    assert "--resample" in scored[3].failed
    assert "\n" not in scored[3].failed
    assert scored[3].as_dict() == {"case": "c", "failed": scored[3].failed}


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    pairs = [pair(tmp_path, f"case-{n}", bar(n, 10)) for n in range(3)]
    scoring = Scoring(definition=ISBI2015, with_lesions=True)
    one, two = (score_pairs(pairs, scoring, n_workers=n) for n in (1, 2))
    assert one == two == [score_pair(each, scoring) for each in pairs]


class Fatal:
    """Ends the process that receives it, as the kernel does when memory runs out."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (9,)


def test_a_killed_worker_is_a_failed_row_not_a_lost_run(tmp_path: Path) -> None:
    fatal: Any = Fatal()
    deadly = Pair(case="a", reference=fatal, prediction=tmp_path / "a.nii.gz")
    [row] = score_pairs([deadly], Scoring(definition=MSSEG2016), n_workers=1)
    assert row.failed is not None
    assert "a scoring process was killed" in row.failed
    assert "fewer --workers" in row.failed


def test_lesions_are_listed_only_when_asked_for(tmp_path: Path) -> None:
    each = pair(tmp_path, "a", bar(6, 10))
    assert score_pair(each, Scoring(definition=MSSEG2016)).lesions == ()
    scored = score_pair(each, Scoring(definition=MSSEG2016, with_lesions=True))
    rows = scored.lesion_dicts()
    assert [(row["case"], row["mask"], row["n_voxels"], row["overlap"]) for row in rows] == [
        ("a", "reference", 8, 4 / 8),
        ("a", "prediction", 4, 4 / 4),
    ]


def test_lesions_of_a_resampled_prediction_lie_on_the_reference_grid(tmp_path: Path) -> None:
    each = pair(tmp_path, "a", bar(2, 10))
    assert each.prediction is not None
    moved = OBLIQUE.copy()
    moved[:3, 3] += 2 * OBLIQUE[:3, 0]  # i = 0..5 lies where the reference's i = 2..7 does
    image(each.prediction, bar(0, 6), moved)
    with pytest.raises(GeometryError, match=r"Or give --resample"):
        score_pair(each, Scoring(definition=MSSEG2016))
    scored = score_pair(each, Scoring(definition=MSSEG2016, resample=True, with_lesions=True))
    truth, found = scored.lesions
    assert (truth.overlap, found.overlap) == (6 / 8, 1.0)
    centre = OBLIQUE @ [4.5, 3.0, 2.0, 1.0]  # the mean of i = 2..7
    np.testing.assert_allclose(found.centroid_mm, centre[:3], rtol=1e-5)


def test_the_summary_leaves_undefined_values_out_and_failed_cases_in(tmp_path: Path) -> None:
    scoring = Scoring(definition=MSSEG2016)
    scored = [
        score_pair(pair(tmp_path, "a", bar(2, 10)), scoring),  # Dice 1, PPV 1
        score_pair(pair(tmp_path, "b", bar(6, 10)), scoring),  # Dice 8 / 12, PPV 1
        score_pair(pair(tmp_path, "c", bar(0, 0)), scoring),  # Dice 0, PPV undefined
        ScoredPair(case="d", failed="no prediction"),
    ]
    total = summary(scored)
    assert (total.n_planned, total.n_scored, total.failed) == (4, 3, (("d", "no prediction"),))
    dice, ppv = total.metric("dice"), total.metric("ppv")
    assert dice.mean == pytest.approx((1 + 8 / 12 + 0) / 3)
    assert (dice.median, dice.n) == (8 / 12, 3)
    assert (ppv.mean, ppv.median, ppv.n) == (1.0, 1.0, 2)


def test_a_metric_undefined_everywhere_has_no_mean(tmp_path: Path) -> None:
    scored = [score_pair(pair(tmp_path, "c", bar(0, 0)), Scoring(definition=MSSEG2016))]
    assert summary(scored).metric("hausdorff_mm").n == 0
    assert summary(scored).metric("hausdorff_mm").mean is None
