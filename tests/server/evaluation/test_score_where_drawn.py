"""The verdict on a grid of 1 x 1 x 6 mm of what was found on one of 2 mm; see `tests/drawn.py`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from common.imaging.dataset.prepared import PreparedCase
from common.imaging.dataset.where_drawn import FoundInCase, where_drawn
from common.model_file import Model
from common.recipe.recipe import load_recipe
from server.evaluation.evaluation_folder import EvaluationFolder
from server.evaluation.held_out_site import PreparedHeldOutSite
from server.evaluation.predict import HALF, brighter_than, by_intensity
from server.evaluation.score import score_fully
from tests.drawn import drawn_lesions, prepared_case, write_drawn

RECIPE = load_recipe("default", overrides=["inference.threshold=0.6", "task.modalities=['FLAIR']"])
MODEL = Model(
    recipe=RECIPE, template={}, threshold=0.6, round_index=1, run="r", parameters={}
)  # nothing here segments


def perfect(case: PreparedCase) -> FoundInCase:
    """The prepared reference, found to the voxel."""
    assert case.lesions is not None
    return FoundInCase(case, case.lesions.astype(np.float32))


def test_a_perfect_prediction_is_judged_where_the_lesions_were_drawn(tmp_path: Path) -> None:
    """Lesion A has 16 voxels of 6 mm3, B one; the prediction comes back as 3 x 3 of A's voxels.

    Voxels: TP 9, FP 0, FN 7 + 1, so Dice 18 / (18 + 8). Lesions: A found, B not: sensitivity 1/2,
    PPV 1, F1 2/3. Volumes 17 x 6 and 9 x 6 mm3. B is lost in the preparation and stays.
    """
    found = perfect(prepared_case(write_drawn(tmp_path)))
    scored = score_fully("porto", found, where_drawn(found), MODEL)
    row = scored.row
    assert (row.grid, row.failed) == ("scanner", None)
    assert [row.metric(name) for name in ("tp_voxels", "fp_voxels", "fn_voxels")] == [9, 0, 8]
    assert row.metric("dice") == pytest.approx(9 / 13)
    assert row.metric("lesion_sensitivity") == 0.5
    assert row.metric("lesion_ppv") == 1
    assert row.metric("lesion_f1") == pytest.approx(2 / 3)
    assert (row.metric("n_reference_lesions"), row.metric("n_predicted_lesions")) == (2, 1)
    assert row.metric("reference_volume_mm3") == pytest.approx(102)
    assert row.metric("predicted_volume_mm3") == pytest.approx(54)
    assert row.metric("n_lesions_lost_by_resampling") == 1


def test_the_same_on_the_prepared_grid_stands_beside_it(tmp_path: Path) -> None:
    """There B does not exist and everything is right: 12 voxels of 8 mm3."""
    found = perfect(prepared_case(write_drawn(tmp_path)))
    row = score_fully("porto", found, where_drawn(found), MODEL).on_prepared_grid
    assert row is not None
    assert row.grid == "prepared"
    assert (row.metric("dice"), row.metric("lesion_f1")) == (1, 1)
    assert (row.metric("tp_voxels"), row.metric("n_reference_lesions")) == (12, 1)
    assert row.metric("reference_volume_mm3") == 96
    assert row.metric("n_lesions_lost_by_resampling") is None


def test_every_table_of_the_case_is_of_the_grid_of_its_row(tmp_path: Path) -> None:
    """The sweep at 0.6 is the row's; at 0.45 the edges of 0.5 come in.

    These are 4 times 3 voxels, of which 6 are A's: TP 15, FP 6, FN 2. B's row of the table of
    lesions is at its voxel, in the scanner's world.
    """
    found = perfect(prepared_case(write_drawn(tmp_path)))
    judged = where_drawn(found)
    scored = score_fully("porto", found, judged, MODEL)
    at = {counts.threshold: counts for counts in scored.sweep}
    assert (at[0.6].voxels.tp, at[0.6].voxels.fp, at[0.6].voxels.fn) == (9, 0, 8)
    assert at[0.6].lesions.lesion_f1 == scored.row.metric("lesion_f1")
    assert (at[0.45].voxels.tp, at[0.45].voxels.fp, at[0.45].voxels.fn) == (15, 6, 2)
    assert [(row.mask, row.n_voxels, row.detected) for row in scored.lesions] == [
        ("reference", 16, True),
        ("reference", 1, False),
        ("prediction", 9, True),
    ]
    place = judged.case.affine @ (13, 9, 2, 1)
    np.testing.assert_allclose(scored.lesions[1].centroid_mm, place[:3], atol=1e-5)
    assert scored.probabilities.n_lesion_voxels.sum() == 17
    assert scored.probabilities.n_lesion_voxels[99] == 9


def test_a_case_without_a_drawn_reference_has_one_row_as_it_always_had() -> None:
    found = perfect(prepared_case(None))
    scored = score_fully("porto", found, where_drawn(found), MODEL)
    assert scored.on_prepared_grid is None
    assert (scored.row.grid, scored.row.metric("dice")) == ("prepared", 1)
    assert "n_lesions_lost_by_resampling" not in scored.row.metrics


def test_a_scan_without_lesions_has_no_count_of_lost_ones(tmp_path: Path) -> None:
    empty = np.zeros_like(drawn_lesions())
    found = perfect(prepared_case(write_drawn(tmp_path, lesions=empty)))
    row = score_fully("porto", found, where_drawn(found), MODEL).row
    assert (row.metric("dice"), row.metric("n_reference_lesions")) == (None, None)
    assert row.metric("n_lesions_lost_by_resampling") is None
    assert row.metric("n_predicted_lesions") == 1


def bright(case: PreparedCase) -> PreparedCase:
    """The image is 5 where the lesion is and 0 elsewhere."""
    assert case.lesions is not None
    return dataclasses.replace(case, image=5 * case.lesions[None].astype(np.float32))


def test_the_intensity_threshold_is_judged_on_the_same_grid_as_the_network(
    tmp_path: Path,
) -> None:
    """Its 0 and 1 go the way of a probability: more than half, 3 x 3 voxels, as above."""
    case = bright(prepared_case(write_drawn(tmp_path)))
    site = PreparedHeldOutSite("porto", (case,), ())
    brighter = brighter_than(3.0, RECIPE.task)
    [row] = site.score_where_drawn(brighter, threshold=HALF, recipe=RECIPE)
    assert row.grid == "scanner"
    assert row.metric("dice") == pytest.approx(9 / 13)
    assert row.metric("n_lesions_lost_by_resampling") == 1
    [along] = site.score(by_intensity(3.0, RECIPE), recipe=RECIPE)
    assert (along.grid, along.metric("dice")) == ("prepared", 1)


def test_specks_of_the_intensity_threshold_go_by_the_voxels_of_the_grid_it_is_judged_on(
    tmp_path: Path,
) -> None:
    """The lesion has 12 prepared voxels and 9 drawn ones: a limit of 10 keeps the former alone."""
    case = bright(prepared_case(write_drawn(tmp_path)))
    site = PreparedHeldOutSite("porto", (case,), ())
    strict = load_recipe("default", overrides=["inference.min_lesion_voxels=10"])
    [row] = site.score_where_drawn(brighter_than(3.0, strict.task), threshold=HALF, recipe=strict)
    assert (row.metric("n_predicted_lesions"), row.metric("dice")) == (0, 0)
    [along] = site.score(by_intensity(3.0, strict), recipe=strict)
    assert along.metric("dice") == 1


def test_a_case_whose_drawn_reference_was_changed_is_a_failed_row(tmp_path: Path) -> None:
    drawn, prepared = write_drawn(tmp_path)
    drawn.write_bytes(prepared.read_bytes())
    site = PreparedHeldOutSite("porto", (bright(prepared_case((drawn, prepared))),), ())
    [row] = site.score_where_drawn(brighter_than(3.0, RECIPE.task), threshold=HALF, recipe=RECIPE)
    assert row.failed == "scanner-reference"
    assert row.as_dict()["grid"] is None


def test_the_tables_say_the_grid_and_hold_no_case_twice(tmp_path: Path) -> None:
    drawn, plain = prepared_case(write_drawn(tmp_path / "data")), prepared_case(None)
    plain = dataclasses.replace(plain, subject="sub-02")
    scored = []
    for case in (drawn, plain):
        found = perfect(case)
        scored.append(score_fully("porto", found, where_drawn(found), MODEL))
    folder = EvaluationFolder(tmp_path / "evaluation")
    folder.write(scored, [], definition={"threshold": 0.6})
    assert [(row.name, row.grid) for row in folder.cases()] == [
        ("sub-01", "scanner"),
        ("sub-02", "prepared"),
    ]
    text = folder.prepared_grid_file.read_text("utf-8").splitlines()
    assert len(text) == 2
    assert text[1].startswith("porto,sub-01,,prepared,,1.0,")
    for table in (folder.lesions_file, folder.thresholds_file, folder.probabilities_file):
        lines = table.read_text("utf-8").splitlines()
        assert {line.split(",")[2] for line in lines[1:] if ",sub-01," in line} == {"scanner"}
        assert {line.split(",")[2] for line in lines[1:] if ",sub-02," in line} == {"prepared"}
    assert folder.sweeps()["porto", "sub-01"] == list(scored[0].sweep)
    folder.write(scored[1:], [], definition={"threshold": 0.6})
    assert not folder.prepared_grid_file.exists(), "a table of an earlier evaluation"
