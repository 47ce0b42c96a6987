from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from server.evaluation.case_row import CaseRow
from server.events.history import RunHistory
from server.events.schema import RunStarted, SiteTest
from server.papers.evaluated_run import EvaluatedRun
from server.papers.paper_table import (
    COLUMNS,
    as_dict,
    as_markdown,
    as_text,
    paper_of,
    paper_table,
)
from server.papers.published import PUBLISHED

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def row(site: str = "oslo", failed: str | None = None, **metrics: float | int | None) -> CaseRow:
    return CaseRow(site=site, subject="sub-01", failed=failed, metrics=metrics)


def run(label: str, rows: Sequence[CaseRow], *, seed: int = 0) -> EvaluatedRun:
    return EvaluatedRun(label=label, seed=seed, rows=rows, sweeps={}, record=None)


def record(site_test: SiteTest) -> RunHistory:
    started = RunStarted(
        time=NOW, event="run-started", run="r", engine="inline", recipe_name="galassi2019",
        recipe_sha256="0", code_digest="0", sites=(),
    )  # fmt: skip
    return RunHistory(start=started, last_time=NOW, site_test=site_test)


def test_husseins_columns_are_medians_means_and_shares_of_scans_and_of_subjects() -> None:
    """L-F1 0.2, 0.4, 0.9: median 0.4, mean 0.5, SD sqrt((0.09 + 0.01 + 0.16) / 2) = 0.361.
    V-F1 0.1, 0.5, 0.6: median 0.5, mean 0.4, SD sqrt((0.09 + 0.01 + 0.04) / 2) = 0.265.
    Of three scans with a lesion two were called positive; of three without, one negative. Sites 1
    and 5 are one subject each, with a second scan at site 1: without a lesion, called positive."""
    rows = [
        row("site-1", dice=0.5, lesion_f1=0.4, n_reference_lesions=2, n_predicted_lesions=0),
        row("site-2", dice=0.6, lesion_f1=0.9, n_reference_lesions=1, n_predicted_lesions=3),
        row("site-3", dice=0.1, lesion_f1=0.2, n_reference_lesions=1, n_predicted_lesions=1),
        row("site-4", dice=None, lesion_f1=None, n_reference_lesions=0, n_predicted_lesions=0),
        row("site-5", dice=None, lesion_f1=None, n_reference_lesions=0, n_predicted_lesions=2),
        row("site-1", dice=None, lesion_f1=None, n_reference_lesions=0, n_predicted_lesions=1),
        row("site-6", failed="cut off"),
    ]
    table = paper_table("hussein2023", [run("tversky", rows)])
    [line] = table.lines
    means = {title: e.mean for title, e in zip(table.columns, line.entries, strict=True)}
    assert means == pytest.approx(
        {
            "L-F1 median": 0.4,
            "V-F1 median": 0.5,
            "L-F1 mean": 0.5,
            "L-F1 SD": 0.13**0.5,
            "V-F1 mean": 0.4,
            "V-F1 SD": 0.07**0.5,
            "P-sens scans": 2 / 3,
            "P-spec scans": 1 / 3,
            "P-sens subjects": 1.0,
            "P-spec subjects": 1 / 2,
        }
    )
    assert (line.n_scored, line.n_planned) == (6, 7)
    assert table.published["BCE"] == (0.27, 0.33, None, None, None, None, 0.58, 0.24, None, None)


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


def test_the_spread_over_seeds_is_explained_where_a_line_has_two_of_them() -> None:
    one_each = [run("BM", [row(dice=0.7)]), run("none", [row(dice=0.6)], seed=1)]
    told = "\N{PLUS-MINUS SIGN}: standard deviation over the seeds."
    assert told not in paper_table("aslani2020", one_each).notes
    again = run("BM", [row(dice=0.9)], seed=1)
    assert told in paper_table("aslani2020", [*one_each, again]).notes


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


def test_galassis_columns_of_seen_cases_are_left_out_where_a_run_has_no_test_of_its_own() -> None:
    rows = [row(dice=0.4, lesion_f1=0.3)]
    test = SiteTest(time=NOW, event="site-test", threshold=0.5, n_cases=1, mean_dice=0.6)
    tested = dataclasses.replace(run("base", rows), record=record(test))
    for runs in ([run("base", rows)], [tested, run("base", rows, seed=1)]):
        table = paper_table("galassi2019", runs)
        assert table.columns == ("Dice unseen site", "F1 unseen site")
        assert [entry.mean for entry in table.lines[0].entries] == pytest.approx([0.4, 0.3])
        assert table.published["base"] == (None, 0.280)
        assert "Dice all test and F1 all test: left out" in table.notes[-1]
    assert "| base (as published) | - | 0.280 |" in as_markdown(table)


def test_a_run_that_failed_after_its_test_of_seen_cases_has_no_part_in_the_columns() -> None:
    test = SiteTest(time=NOW, event="site-test", threshold=0.5, n_cases=1, mean_dice=0.6,
                    mean_lesion_f1=0.7)  # fmt: skip
    lost = SiteTest(time=NOW, event="site-test", threshold=0.5, n_cases=9, mean_dice=0.1)
    runs = [
        dataclasses.replace(run("base", [row(dice=0.4, lesion_f1=0.3)]), record=record(test)),
        dataclasses.replace(run("base", [row(failed="the run failed")]), record=record(lost)),
    ]
    [line] = paper_table("galassi2019", runs).lines
    assert [entry.mean for entry in line.entries] == pytest.approx([0.5, 0.5, 0.4, 0.3])


def test_all_test_cases_weigh_alike_those_of_unseen_sites_among_them() -> None:
    """Two folds, each with one unseen case of Dice 0.4 and F1 0.3. Dice
    (0.6 x 1 + 0.9 x 3 + 0.4 x 2) / 6 = 4.1 / 6, F1 (0.2 + 0.8 + 0.3 x 2) / 4 = 0.4."""
    tests = [
        SiteTest(time=NOW, event="site-test", threshold=0.5, n_cases=2, n_dice=1, n_lesion_f1=1,
                 mean_dice=0.6, mean_lesion_f1=0.2),
        SiteTest(time=NOW, event="site-test", threshold=0.5, n_cases=10, n_dice=3, n_lesion_f1=1,
                 mean_dice=0.9, mean_lesion_f1=0.8),
    ]  # fmt: skip
    rows = [row(dice=0.4, lesion_f1=0.3)]
    runs = [dataclasses.replace(run("base", rows), record=record(test)) for test in tests]
    [line] = paper_table("galassi2019", runs).lines
    assert [entry.mean for entry in line.entries[:2]] == pytest.approx([4.1 / 6, 0.4])


def test_the_reader_sees_in_how_many_cases_a_figure_of_predictions_is_defined() -> None:
    rows = [
        row(dice=0.5, ltpr=0.5, lfpr=0.2, ppv=0.5),
        row(dice=0.0, ltpr=0.0, lfpr=None, ppv=None),
        row(failed="cut off"),
    ]
    notes = paper_table("aslani2020", [run("BM", rows)]).notes
    assert "BM: LFPR in 1 and PPV in 1 of 2 scored cases." in notes
    assert any("undefined where nothing was predicted" in note for note in notes)


def test_galassis_first_columns_are_of_the_sites_own_test_where_every_run_has_one() -> None:
    rows = [row(dice=0.4, lesion_f1=0.3)]
    # two folds: (0.6 x 1 + 0.9 x 2 + 0.4 x 2) / 5 = 0.64; the F1 of the second is undefined:
    # (0.7 x 1 + 0.3 x 2) / 3
    tests = [
        SiteTest(time=NOW, event="site-test", threshold=0.5, n_cases=1, mean_dice=0.6,
                 mean_lesion_f1=0.7),
        SiteTest(time=NOW, event="site-test", threshold=0.5, n_cases=2, mean_dice=0.9),
    ]  # fmt: skip
    runs = [dataclasses.replace(run("base", rows), record=record(test)) for test in tests]
    table = paper_table("galassi2019", runs)
    assert [entry.mean for entry in table.lines[0].entries] == pytest.approx(
        [0.64, 1.3 / 3, 0.4, 0.3]
    )
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


def numbered(*values: float) -> list[CaseRow]:
    """One case a value, of one site."""
    return [
        CaseRow(site="oslo", subject=f"sub-{n:02d}", session=None, metrics={"lesion_f1": value})
        for n, value in enumerate(values)
    ]


def test_galassis_rows_are_tested_on_f1_paired_by_case() -> None:
    """Six differences above 0: the smallest two-sided p of six is 2 / 2^6. The seventh case is the
    same in both; the eighth has no pair."""
    base = numbered(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    both = numbered(0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.7, 0.9)
    table = paper_table("galassi2019", [run("base", base), run("both", both)])
    [test] = table.tests
    assert (test.first, test.other, test.n, test.n_differing) == ("base", "both", 7, 6)
    assert test.p == pytest.approx(2 / 2**6)
    assert "base and both: n = 7, p = 0.031" in as_text(table)
    assert as_dict(table)["tests"][0]["p"] == test.p


def test_too_few_differing_cases_leave_the_test_undefined_and_the_table_says_so() -> None:
    base, both = numbered(0.1, 0.2, 0.3, 0.4, 0.5), numbered(0.2, 0.3, 0.4, 0.5, 0.6)
    table = paper_table("galassi2019", [run("base", base), run("both", both)])
    assert [test.p for test in table.tests] == [None]
    assert "base and both: n = 5, undefined, for 5 differ and 6 are needed" in as_text(table)


def test_a_case_is_one_pair_however_many_seeds_there_are() -> None:
    """Its F1 is the mean over the seeds; the second case has no F1 in one of them."""
    runs = [
        run("base", numbered(0.2, 0.5)),
        run("base", [*numbered(0.4), row(lesion_f1=None)], seed=1),
        run("both", numbered(0.3, 0.9)),
        run("both", numbered(0.3, 0.9), seed=1),
    ]
    [test] = paper_table("galassi2019", runs).tests
    assert (test.n, test.n_differing) == (1, 0)  # (0.2 + 0.4) / 2 and 0.3


def test_other_papers_tables_have_no_tests() -> None:
    runs = [run("BM", numbered(0.1)), run("BDM", numbered(0.2))]
    assert paper_table("aslani2020", runs).tests == ()
