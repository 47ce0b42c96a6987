from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest

from common.errors import RunFolderError, printable
from server.evaluation.case_row import CaseRow, as_csv, read_cases, write_cases

ROWS = [
    CaseRow(site="lyon", subject="sub-1", metrics={"dice": 0.25, "n_predicted_lesions": 3}),
    CaseRow(site="lyon", subject="sub-2", session="ses-b", metrics={"dice": None}),
    CaseRow(site="a, b", subject="sub-1", failed='no mask, or "cut"\noff'),
]


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.csv", ROWS)
    read = read_cases(tmp_path / "cases.csv")
    assert [row.as_dict()["dice"] for row in read[:2]] == [0.25, None]
    assert read[0].metrics["n_predicted_lesions"] == 3
    assert isinstance(read[0].metrics["n_predicted_lesions"], int)
    assert [(r.site, r.name, r.failed) for r in read] == [(r.site, r.name, r.failed) for r in ROWS]


def test_an_undefined_metric_is_an_empty_field_not_a_nan(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.csv", ROWS[:2])
    lines = (tmp_path / "cases.csv").read_text("utf-8").splitlines()
    assert lines == [
        "site,subject,session,grid,failed,dice,n_predicted_lesions",
        "lyon,sub-1,,prepared,,0.25,3",
        "lyon,sub-2,ses-b,prepared,,,",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "want the columns site and subject, site, subject is missing"),
        (
            "site,subject,dice\nlyon,sub-1,nan\n",
            "dice: want a number up to 1e\\+12 or nothing, got 'nan'",
        ),
        ("site,subject,dice\nlyon,sub-1,-inf\n", "dice: want a number up to"),
        ("site,subject,dice\nlyon,sub-1,1e308\n", "dice: want a number up to"),
        ("site,subject,dice\nlyon,sub-1," + 401 * "9" + "\n", "dice: want a number up to"),
        ("site,subject,dice\nlyon,sub-1,1_0\n", "dice: want a number up to"),
        ("site,subject,dice\nlyon,sub-1,much\n", "dice: want a number up to"),
        ("site,subject,dice\nlyon,sub-1\n", "line 2 has not as many fields as the header"),
        ("site,subject\nlyon,sub-1,0.5\n", "line 2 has not as many fields as the header"),
    ],
)
def test_a_table_that_is_none_is_refused_with_what_is_wrong(
    tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "cases.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RunFolderError, match=told):
        read_cases(path)


def test_a_missing_table_names_the_folder_to_give(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="Give the folder of a finished run"):
        read_cases(tmp_path / "cases.csv")


def test_the_grid_comes_back_and_an_older_table_is_of_the_prepared_one(tmp_path: Path) -> None:
    rows = [dataclasses.replace(ROWS[0], grid="scanner"), ROWS[1], ROWS[2]]
    write_cases(tmp_path / "cases.csv", rows)
    assert [row.grid for row in read_cases(tmp_path / "cases.csv")] == [
        "scanner",
        "prepared",
        "prepared",
    ]
    assert rows[2].as_dict()["grid"] is None  # a failed case was scored nowhere
    (tmp_path / "old.csv").write_text("site,subject,session,failed,dice\nlyon,sub-1,,,0.5\n")
    assert [row.grid for row in read_cases(tmp_path / "old.csv")] == ["prepared"]
    (tmp_path / "odd.csv").write_text("site,subject,grid,dice\nlyon,sub-1,mni,0.5\n")
    with pytest.raises(RunFolderError, match="grid: want scanner or prepared, got 'mni'"):
        read_cases(tmp_path / "odd.csv")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1 more", "'+1 more"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "\\t=1"),
        ("\r=1", "\\r=1"),
        ("'=1", "''=1"),
        ("'x'", "'x'"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("  @SUM(A1)", "'  @SUM(A1)"),
        ("' -2+3", "'' -2+3"),
        (" 'x", " 'x"),
    ],
)
def test_no_cell_is_a_formula_and_every_text_comes_back(
    tmp_path: Path, text: str, cell: str
) -> None:
    write_cases(tmp_path / "cases.csv", [CaseRow(site=text, subject="sub-1", failed=text)])
    with (tmp_path / "cases.csv").open(encoding="utf-8", newline="") as file:
        [_, cells] = csv.reader(file)
    assert cells[0] == cells[4] == cell
    [read] = read_cases(tmp_path / "cases.csv")
    assert (read.site, read.failed) == (printable(text), printable(text))


def test_numbers_stay_numbers_and_other_texts_are_as_they_were() -> None:
    rows = [{"a": -1.5, "b": "-1.5", "c": "'quoted'", "d": -3, "=e": None}]
    assert as_csv(rows) == b"a,b,c,d,'=e\n-1.5,-1.5,'quoted',-3,\n"
