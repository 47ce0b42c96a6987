"""From given cases.csv files to matrix.csv and table.csv, each figure worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.recipe.task import Task
from server.evaluation.case_row import read_cases
from server.studies.leave_site_out.cells import cells_of, rows_of
from server.studies.leave_site_out.matrix import CellSummary, matrix_rows
from server.studies.leave_site_out.results import write_results
from server.studies.leave_site_out.table import TableRow, table_rows
from server.studies.leave_site_out.verdict import method_names, verdict
from server.studies.run_results import read_results
from tests.server.studies.leave_site_out.made_study import Study, case, made_study

FEDERATED = {
    "federated/without-lyon": [
        case("lyon", "01", 0.8, tp_voxels=4, fp_voxels=1, fn_voxels=1, lesion_f1=0.5),
        case("lyon", "02", 0.2, tp_voxels=10, fp_voxels=40, fn_voxels=40, lesion_f1=None),
    ],
    "federated/without-ghent": [case("ghent", "01", 0.6), case("ghent", "02", 0.9)],
    "federated/without-turin": [case("turin", "01", 0.3), case("turin", "02", 0.5)],
}
BASELINE = {
    "baseline federated/without-lyon": [case("lyon", "01", 0.1), case("lyon", "02", 0.3)],
    "baseline federated/without-ghent": [case("ghent", "01", 0.7), case("ghent", "02", 0.8)],
    "baseline federated/without-turin": [case("turin", "01", 0.4), case("turin", "02", None)],
}
LOCAL = {
    "local/lyon": [
        case("ghent", "01", 0.2, hd95_mm=6.0),
        case("ghent", "02", 0.4, hd95_mm=9.0),
        case("turin", "01", 0.1),
        case("turin", "02", 0.3),
    ],
    "local/turin": [
        case("lyon", "01", 0.5),
        case("lyon", "02", 0.7),
        case("ghent", "01", 0.4, hd95_mm=2.0),
        case("ghent", "02", None, hd95_mm=None),
    ],
}
FAILED = {
    "local/ghent": "failed for want of lesions",
    "pooled/without-lyon": "x",
    "pooled/without-ghent": "y",
    "pooled/without-turin": "z",
}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return made_study(tmp_path, FEDERATED | BASELINE | LOCAL, failed=FAILED)


def matrix_of(study: Study) -> dict[tuple[str, str, str], CellSummary]:
    rows = matrix_rows(cells_of(read_results(study)))
    return {(row.method, row.trained_on, row.tested_on): row for row in rows}


def table_of(study: Study) -> dict[tuple[str, str], TableRow]:
    return {(row.method, row.metric): row for row in table_rows(cells_of(read_results(study)))}


def test_a_cell_has_the_mean_and_the_voxels_of_its_site_alone(study: Study) -> None:
    cell = matrix_of(study)["federated", "ghent+turin", "lyon"]
    assert (cell.failed, cell.n_planned, cell.n_scored) == (None, 2, 2)
    assert cell.dice_mean == pytest.approx((0.8 + 0.2) / 2)
    assert cell.dice_median == pytest.approx(0.5)
    # tp 4 + 10, fp 1 + 40, fn 1 + 40
    assert cell.dice_pooled == pytest.approx(2 * 14 / (2 * 14 + 41 + 41))
    assert cell.lesion_f1_mean == pytest.approx(0.5)  # undefined in the other case


def test_the_matrix_has_a_cell_for_each_method_and_unseen_site(study: Study) -> None:
    cells = matrix_of(study)
    assert len(cells) == 3 + 3 + 3 * 2 + 3  # federated, pooled, local at two sites, threshold
    assert cells["baseline", "lyon+turin", "ghent"].dice_mean == pytest.approx(0.75)
    assert cells["local", "turin", "lyon"].dice_mean == pytest.approx(0.6)
    assert ("local", "turin", "turin") not in cells


def test_a_failed_run_is_a_cell_that_says_so_with_its_planned_cases(study: Study) -> None:
    cell = matrix_of(study)["local", "ghent", "lyon"]
    assert cell.failed == "failed"  # the reason may name files, and tables travel
    assert (cell.n_planned, cell.n_scored, cell.dice_mean) == (2, 0, None)


def test_the_pooled_table_is_over_all_unseen_cases(study: Study) -> None:
    row = table_of(study)["federated", "dice"]
    # 0.2 0.3 0.5 0.6 0.8 0.9: mean 3.3 / 6; quartiles at places 1.25 and 3.75 counted from 0
    assert row.mean == pytest.approx(3.3 / 6)
    assert row.median == pytest.approx((0.5 + 0.6) / 2)
    assert row.q1 == pytest.approx(0.3 + 0.25 * 0.2)
    assert row.q3 == pytest.approx(0.6 + 0.75 * 0.2)
    assert (row.n, row.n_scored, row.n_planned) == (6, 6, 6)
    assert row.worst_site == "turin"
    assert row.worst_site_mean == pytest.approx(0.4)


def test_an_undefined_dice_is_in_no_mean_and_shows_in_n(study: Study) -> None:
    row = table_of(study)["baseline", "dice"]
    assert (row.n, row.n_scored, row.n_planned) == (5, 6, 6)
    assert row.mean == pytest.approx((0.1 + 0.3 + 0.7 + 0.8 + 0.4) / 5)


def test_a_case_of_local_is_the_mean_over_the_networks_that_define_it(study: Study) -> None:
    rows = {(row.site, row.subject): row for row in rows_of(cells_of(read_results(study)), "local")}
    assert len(rows) == 6
    assert rows["ghent", "sub-01"].metric("dice") == pytest.approx((0.2 + 0.4) / 2)
    assert rows["ghent", "sub-01"].metric("hd95_mm") == pytest.approx((6.0 + 2.0) / 2)
    assert rows["ghent", "sub-02"].metric("dice") == pytest.approx(0.4)  # undefined in the other
    assert rows["lyon", "sub-02"].metric("dice") == pytest.approx(0.7)  # ghent's run failed
    assert table_of(study)["local", "dice"].mean == pytest.approx(
        (0.5 + 0.7 + 0.3 + 0.4 + 0.1 + 0.3) / 6
    )


def test_the_worst_site_of_a_distance_is_the_farthest(tmp_path: Path) -> None:
    rows = {
        f"federated/without-{site}": [case(site, "01", 0.5, hd95_mm=far)]
        for site, far in (("lyon", 4.0), ("ghent", 11.0), ("turin", 7.0))
    }
    row = table_of(made_study(tmp_path, rows))["federated", "hd95_mm"]
    assert (row.worst_site, row.worst_site_mean) == ("ghent", 11.0)


def test_a_method_all_of_whose_runs_failed_has_its_planned_cases_and_no_mean(
    study: Study,
) -> None:
    row = table_of(study)["pooled", "dice"]
    assert (row.n, row.n_scored, row.n_planned, row.mean) == (0, 0, 6, None)


def test_the_verdict_counts_sites_and_says_where_cases_differ(study: Study) -> None:
    cells = cells_of(read_results(study))
    sentences = verdict(cells, table_rows(cells), names=method_names(Task(modalities=("FLAIR",))))
    assert sentences[0] == (
        "Federated over all other sites, the network has a mean Dice of 0.550 over 6 of 6 planned "
        "cases, each at a site that took no part. Its worst site is turin (0.400)."
    )
    assert sentences[1] == "Pooled data: no defined Dice."
    # local 2.3 / 6 = 0.383; lyon 0.5 < 0.6, ghent 0.75 > 0.35, turin 0.4 > 0.2
    assert sentences[2] == (
        "One site alone: 0.383. The federated network is 0.167 above, and has the higher mean at "
        "2 of 3 sites."
    )
    # the threshold 2.3 / 5 = 0.46; lyon 0.5 > 0.2, ghent 0.75 = 0.75, turin 0.4 = 0.4
    assert sentences[3] == (
        "FLAIR threshold: 0.460. The federated network is 0.090 above, and has the higher mean at "
        "1 of 3 sites. The two means are not over the same cases."
    )


def test_the_tables_are_written_and_each_method_has_its_cases(study: Study) -> None:
    write_results(study)
    assert [row.site for row in read_cases(study.cases_file("federated"))] == [
        "lyon", "lyon", "ghent", "ghent", "turin", "turin",
    ]  # fmt: skip
    assert read_cases(study.cases_file("pooled"))[0].failed == "the run failed"
    header, *lines = study.matrix_file.read_text("utf-8").splitlines()
    assert header.startswith("method,trained_on,tested_on,failed,n_planned,n_scored,dice_mean")
    assert len(lines) == 15
    assert study.table_file.read_text("utf-8").count("federated,") == 6  # one a metric
