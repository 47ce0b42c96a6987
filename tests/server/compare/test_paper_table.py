from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from server.case_row import CaseRow
from server.compare.judged_run import JudgedRun
from server.compare.paper_table import (
    COLUMNS,
    as_dict,
    as_markdown,
    as_text,
    paper_of,
    paper_table,
)
from server.compare.published import PUBLISHED
from server.report.run_record import RunRecord, RunStarted, SiteTest

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def row(site: str = "oslo", failed: str | None = None, **metrics: float | int | None) -> CaseRow:
    return CaseRow(site=site, subject="sub-01", failed=failed, metrics=metrics)


def run(label: str, rows: Sequence[CaseRow], *, seed: int = 0) -> JudgedRun:
    return JudgedRun(label=label, seed=seed, rows=rows, sweeps={}, record=None)


def record(site_test: SiteTest) -> RunRecord:
    started = RunStarted(
        time=NOW, event="run-started", run="r", engine="inline", recipe_name="galassi2019",
        recipe_sha256="0", code_digest="0", sites=(),
    )  # fmt: skip
    return RunRecord(started=started, last_time=NOW, site_test=site_test)


def test_husseins_columns_are_medians_and_shares_of_scans() -> None:
    # L-F1: median of 0.2, 0.4, 0.9 = 0.4. V-F1: 0.1, 0.5, 0.6 -> 0.5. A scan with a lesion was
    # called positive in 2 of 3; one without, negative in 1 of 2.
    rows = [
        row(dice=0.5, lesion_f1=0.4, n_reference_lesions=2, n_predicted_lesions=1),
        row(dice=0.6, lesion_f1=0.9, n_reference_lesions=1, n_predicted_lesions=3),
        row(dice=0.1, lesion_f1=0.2, n_reference_lesions=1, n_predicted_lesions=0),
        row(dice=None, lesion_f1=None, n_reference_lesions=None, n_predicted_lesions=0),
        row(dice=None, lesion_f1=None, n_reference_lesions=None, n_predicted_lesions=2),
        row(failed="cut off"),
    ]
    [line] = paper_table("hussein2023", [run("tversky", rows)]).lines
    means = [entry.mean for entry in line.entries]
    assert means == pytest.approx([0.4, 0.5, 2 / 3, 1 / 2])
    assert (line.n_scored, line.n_planned) == (5, 6)


def test_seeds_are_averaged_and_folds_of_one_seed_are_taken_together() -> None:
    # seed 0: two folds, Dice 0.2, 0.4 and 0.9 -> 0.5; seed 1: 0.7. Mean 0.6,
    # SD sqrt((0.1² + 0.1²) / 1) = 0.1414
    runs = [
        run("BM", [row(dice=0.2), row(dice=0.4)]),
        run("BM", [row(dice=0.9)]),
        run("BM", [row(dice=0.7), row(dice=None)], seed=1),
    ]
    [line] = paper_table("aslani2020", runs).lines
    assert (line.n_seeds, line.entries[0].n) == (2, 2)
    assert line.entries[0].mean == pytest.approx(0.6)
    assert line.entries[0].sd == pytest.approx(0.02**0.5)
    assert str(line.entries[0]) == "0.600 \N{PLUS-MINUS SIGN} 0.141"
    assert str(line.entries[1]) == "-"


def test_false_lesions_are_counted_where_no_lesion_is_new() -> None:
    # cases without a new lesion: 3 and 0 predicted -> 1.5; Dice of the others alone
    rows = [
        row(dice=0.8, lesion_f1=0.5, n_reference_lesions=2, n_predicted_lesions=9),
        row(dice=None, n_reference_lesions=None, n_predicted_lesions=3),
        row(dice=None, n_reference_lesions=None, n_predicted_lesions=0),
    ]
    table = paper_table("fenneteau2021", [run("literal", rows)])
    assert [entry.mean for entry in table.lines[0].entries] == [0.8, 0.5, 1.5]
    assert table.published == {}
    assert "The paper reports no results." in as_text(table)


def test_galassis_first_columns_are_of_the_sites_own_test_where_there_is_one() -> None:
    rows = [row(dice=0.4, lesion_f1=0.3)]
    unseen_only = paper_table("galassi2019", [run("base", rows)])
    assert [entry.mean for entry in unseen_only.lines[0].entries] == [0.4, 0.3, 0.3]
    assert "Dice and F1: of the unseen sites, for no training site" in unseen_only.notes[-1]
    # two folds: (0.6 x 1 + 0.9 x 2) / 3 = 0.8; the F1 of the second is undefined
    tests = [
        SiteTest(time=NOW, event="site-test", threshold=0.5, n_cases=1, mean_dice=0.6,
                 mean_lesion_f1=0.7),
        SiteTest(time=NOW, event="site-test", threshold=0.5, n_cases=2, mean_dice=0.9),
    ]  # fmt: skip
    runs = [dataclasses.replace(run("base", rows), record=record(test)) for test in tests]
    table = paper_table("galassi2019", runs)
    assert [entry.mean for entry in table.lines[0].entries] == pytest.approx([0.8, 0.7, 0.3])
    assert "kept for a test" in table.notes[-1]


def test_the_papers_figures_stand_below_ours_in_markdown_and_text() -> None:
    table = paper_table("aslani2020", [run("a|b", [row(dice=0.5, ltpr=0.25, lfpr=0.5, ppv=1.0)])])
    markdown, text = as_markdown(table), as_text(table)
    assert "| a\\|b | 0.500 | 0.250 | 0.500 | 1.000 | 1 / 1 | 1 |" in markdown.splitlines()
    assert "| random (as published) | 0.500 | 0.462 | 0.335 | 0.519 |  |  |" in markdown
    assert "Other data, so not to be ranked with ours." in markdown
    assert len({line.index("0.500") for line in text.splitlines()[1:2]}) == 1
    assert as_dict(table)["methods"][0]["entries"][0] == {"n": 1, "mean": 0.5, "sd": None}


def test_what_papers_publish_has_a_figure_for_each_column() -> None:
    for paper, published in PUBLISHED.items():
        assert {len(values) for values in published.rows.values()} == {len(COLUMNS[paper])}


def test_a_recipe_of_no_paper_has_the_default_table() -> None:
    assert paper_of("hussein2023") == "hussein2023"
    assert paper_of("my-own") == "default"
    table = paper_table("default", [run("my-own", [row(failed="x")])])
    assert [str(entry) for entry in table.lines[0].entries] == ["-", "-"]
    assert table.source == ""
