from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from common.errors import ConfigError, RunFolderError
from server.compare.cases import read_runs, shared_cases
from tests.server.compare.tables import failed, row, run_folder


def test_a_run_an_evaluation_and_a_table_are_read_alike(tmp_path: Path) -> None:
    rows = [row("east", "sub-01", "ses-01", dice=0.5), row("east", "sub-02", dice=None)]
    run = run_folder(tmp_path / "run", rows)
    other = run_folder(tmp_path / "other", rows) / "evaluation"
    table = run_folder(tmp_path / "third", rows) / "evaluation" / "cases.csv"

    read = read_runs([run, other, table])

    assert [list(r.rows.values()) for r in read] == [rows] * 3
    assert [r.label for r in read] == ["run", "evaluation", "cases.csv"]


def test_runs_of_one_name_are_distinguished_by_their_paths(tmp_path: Path) -> None:
    paths = [run_folder(tmp_path / name / "run", []) for name in ("a", "b")]
    assert [run.label for run in read_runs(paths)] == [str(path) for path in paths]


def test_a_run_is_not_compared_with_itself_or_nothing(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [])
    for paths in ([run], [run, run / "evaluation"]):
        with pytest.raises(ConfigError, match="at least two different runs"):
            read_runs(paths)


def test_a_folder_without_a_table_is_named(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [])
    with pytest.raises(RunFolderError, match=rf"{tmp_path}: want .*found neither table.*--out"):
        read_runs([run, tmp_path])
    with pytest.raises(RunFolderError, match="found no such folder"):
        read_runs([run, tmp_path / "nowhere"])


def test_a_case_listed_twice_is_refused(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [])
    twice = run_folder(tmp_path / "twice", [row("east", "sub-01", dice=d) for d in (0.1, 0.2)])
    with pytest.raises(RunFolderError, match="east sub-01 is listed twice"):
        read_runs([run, twice])


def test_cases_are_paired_by_site_subject_and_session_whatever_their_order(tmp_path: Path) -> None:
    first = [
        row("east", "sub-01", "ses-01", dice=0.1),
        row("east", "sub-01", "ses-02", dice=0.2),
        row("west", "sub-01", "ses-01", dice=0.3),
    ]
    paths = [run_folder(tmp_path / "a", first), run_folder(tmp_path / "b", first[::-1])]
    shared = shared_cases(read_runs(paths), common_only=False)

    assert shared.n == 3
    assert shared.sites == ["east", "west"]
    assert shared.left_out == {"a": 0, "b": 0}
    assert [list(run.rows.values()) for run in shared.runs] == [first, first]


def test_different_case_sets_are_refused_with_counts_and_names(tmp_path: Path) -> None:
    common = [row("east", "sub-01", dice=0.1)]
    more = [row("east", f"sub-{n:02d}", "ses-01", dice=0.1) for n in range(2, 9)]
    paths = [
        run_folder(tmp_path / "a", [*common, *more]),
        run_folder(tmp_path / "b", [*common, row("west", "sub-01", dice=0.1)]),
    ]
    with pytest.raises(ConfigError, match="--common-cases") as refused:
        shared_cases(read_runs(paths), common_only=False)

    text = str(refused.value)
    assert "1 are in all of them" in text
    assert "Of a, 7 are not: east sub-02_ses-01, east sub-03_ses-01" in text
    assert "and 2 more" in text
    assert "Of b, 1 are not: west sub-01." in text


def test_common_cases_are_those_of_all_runs_and_the_others_are_counted(tmp_path: Path) -> None:
    names = {"a": "123", "b": "234", "c": "2345"}
    paths = [
        run_folder(tmp_path / label, [row("east", f"sub-{n}", dice=0.1) for n in subjects])
        for label, subjects in names.items()
    ]
    shared = shared_cases(read_runs(paths), common_only=True)

    assert [subject for _, subject, _ in shared.runs[0].rows] == ["sub-2", "sub-3"]
    assert shared.left_out == {"a": 1, "b": 1, "c": 2}


def test_runs_without_a_common_case_are_refused(tmp_path: Path) -> None:
    paths = [run_folder(tmp_path / s, [row("east", f"sub-{s}", dice=0.1)]) for s in "ab"]
    with pytest.raises(ConfigError, match="no case is in all the runs"):
        shared_cases(read_runs(paths), common_only=True)


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("fn_voxels", "got reference voxels 12 in a and 15 in b"),
        ("n_reference_lesions", "got reference lesions 2 in a and 5 in b"),
        ("reference_volume_mm3", "got a reference volume in mm3 of 40 in a and 43 in b"),
    ],
)
def test_runs_judged_against_another_reference_or_definition_are_refused(
    tmp_path: Path, column: str, told: str
) -> None:
    metrics: dict[str, float] = {
        "dice": 0.5,
        "tp_voxels": 7,
        "fn_voxels": 5,
        "n_reference_lesions": 2,
        "reference_volume_mm3": 40.0,
    }
    other = metrics | {column: metrics[column] + 3}
    runs = read_runs(
        [
            run_folder(tmp_path / "a", [row("lyon", "sub-1", None, **metrics)]),
            run_folder(tmp_path / "b", [row("lyon", "sub-1", None, **other)]),
        ]
    )
    with pytest.raises(ConfigError, match=f"lyon sub-1: want one reference .*{told}"):
        shared_cases(runs, common_only=False)


def test_a_case_scored_on_two_grids_is_refused_and_a_failed_one_is_not(tmp_path: Path) -> None:
    own = dataclasses.replace(row("east", "A", dice=0.5), grid="scanner")
    paths = [
        run_folder(tmp_path / "old", [row("east", "A", dice=0.6)]),
        run_folder(tmp_path / "new", [own]),
        run_folder(tmp_path / "none", [failed("east", "A")]),
    ]
    told = "want all runs scored on one grid, got the prepared grid in old and the scanner grid in"
    with pytest.raises(ConfigError, match=told):
        shared_cases(read_runs(paths[:2]), common_only=False)
    assert shared_cases(read_runs(paths[1:]), common_only=False).n == 1
