from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from server.evaluation.case_row import CaseRow
from server.evaluation.evaluation_folder import EvaluationFolder
from server.studies.methods.unseen_figures import unseen_figures
from server.studies.methods.unseen_sites import methods_at_unseen, unseen_rows
from server.studies.plan import Parts, PlannedRun
from server.studies.run_results import RunOutcome, RunResult


def row(site: str, subject: str, f1: float | None, session: str | None = None) -> CaseRow:
    return CaseRow(site=site, subject=subject, session=session, metrics={"lesion_f1": f1})


def result(method: str, seed: int, *rows: CaseRow, wall_s: float | None = None) -> RunResult:
    return RunResult(
        run=PlannedRun(
            method=method,
            seed=seed,
            place=Path(method, f"seed-{seed}"),
            title=method,
            parts=Parts(train=("lyon",), unseen=("porto", "turku")),
        ),
        outcome=RunOutcome(failed=None, wall_s=wall_s),
        record=None,
        rows=rows,
        evaluation=cast(EvaluationFolder, None),
        has_report=False,
    )


def test_each_site_counts_alike_however_many_cases_it_has() -> None:
    """porto (0.2 + 0.4 + 0.6) / 3 = 0.4, turku 0.8: their mean is 0.6, that of all cases 0.5."""
    [line] = methods_at_unseen(
        [
            result(
                "m", 0, row("porto", "1", 0.2), row("porto", "2", 0.4), row("porto", "3", 0.6),
                row("turku", "1", 0.8),
            )
        ]
    )  # fmt: skip
    figure = line.figures["lesion_f1"]
    assert figure.mean == pytest.approx(0.6)
    site, mean = figure.worst or ("", 0.0)
    assert (site, round(mean, 9)) == ("porto", 0.4)


def test_a_case_is_the_mean_over_seeds_and_an_undefined_one_is_in_no_mean() -> None:
    """Subject 1: (0.2 + 0.6) / 2 = 0.4; subject 2 is defined in one seed: 0.8; site 0.6."""
    [line] = methods_at_unseen(
        [
            result("m", 0, row("porto", "1", 0.2), row("porto", "2", None), wall_s=10.0),
            result("m", 1, row("porto", "1", 0.6), row("porto", "2", 0.8), wall_s=30.0),
        ]
    )
    assert line.figures["lesion_f1"].mean == pytest.approx(0.6)
    assert (line.n_seeds, line.n_planned, line.n_scored, line.wall_s) == (2, 4, 4, 20.0)
    assert line.figures["dice"].mean is None
    [table_row] = unseen_rows([line])
    assert (table_row["lesion_f1_n"], table_row["dice_n"]) == (3, 0)


def test_a_failed_case_is_planned_and_not_scored() -> None:
    failed = CaseRow(site="porto", subject="2", failed="the run failed")
    [line] = methods_at_unseen([result("m", 0, row("porto", "1", 0.5), failed)])
    assert (line.n_planned, line.n_scored) == (2, 1)
    assert line.figures["lesion_f1"].mean == 0.5


def failed(method: str, seed: int, *subjects: str) -> RunResult:
    rows = [CaseRow(site="porto", subject=name, failed="the run failed") for name in subjects]
    return result(method, seed, *rows)


def test_a_run_that_failed_changes_neither_the_interval_nor_the_number_of_seeds() -> None:
    """A resample of three seeds, one without a figure, would be one of fewer than three."""
    done = [
        result(
            "m", seed, *[row("porto", name, value) for name, value in zip("123", of, strict=True)]
        )
        for seed, of in enumerate([(0.2, 0.4, 0.6), (0.3, 0.5, 0.9)])
    ]
    [without], [with_failed] = (
        methods_at_unseen(results) for results in (done, [*done, failed("m", 2, *"123")])
    )
    assert with_failed.figures == without.figures
    assert (with_failed.n_seeds, with_failed.n_scored, with_failed.n_planned) == (2, 6, 9)


def test_one_subject_a_site_and_a_seed_beside_one_that_failed_give_no_interval() -> None:
    [line] = methods_at_unseen([result("m", 0, row("porto", "1", 0.5)), failed("m", 1, "1")])
    assert (line.figures["lesion_f1"].low, line.figures["lesion_f1"].high) == (None, None)


def test_one_subject_a_site_and_one_seed_give_no_interval() -> None:
    [line] = methods_at_unseen([result("m", 0, row("porto", "1", 0.5), row("turku", "1", 0.7))])
    assert (line.figures["lesion_f1"].low, line.figures["lesion_f1"].high) == (None, None)


def test_equal_values_have_an_interval_of_no_width() -> None:
    rows = [row(site, subject, 0.5) for site in ("porto", "turku") for subject in "123"]
    [line] = methods_at_unseen([result("m", seed, *rows) for seed in (0, 1)])
    figure = line.figures["lesion_f1"]
    assert (figure.low, figure.high) == pytest.approx((0.5, 0.5))


def test_the_interval_of_two_subjects_ends_at_either_of_them() -> None:
    """Of two subjects one is drawn twice in a quarter of the resamples each: 2.5 % lies there."""
    [line] = methods_at_unseen([result("m", 0, row("porto", "1", 0.2), row("porto", "2", 0.6))])
    figure = line.figures["lesion_f1"]
    assert (figure.low, figure.high) == pytest.approx((0.2, 0.6))


def test_seeds_that_differ_widen_the_interval_of_subjects_that_do_not() -> None:
    rows = [[row("porto", subject, value) for subject in "12345"] for value in (0.4, 0.6)]
    [line] = methods_at_unseen([result("m", seed, *of) for seed, of in enumerate(rows)])
    figure = line.figures["lesion_f1"]
    assert (figure.low, figure.high) == pytest.approx((0.4, 0.6))


def test_sessions_of_one_subject_are_resampled_together() -> None:
    """Two subjects of two sessions each: a resample never mixes sessions, its ends are 0.3, 0.7."""
    rows = [
        row("porto", "1", 0.2, "a"), row("porto", "1", 0.4, "b"),
        row("porto", "2", 0.6, "a"), row("porto", "2", 0.8, "b"),
    ]  # fmt: skip
    [line] = methods_at_unseen([result("m", 0, *rows)])
    figure = line.figures["lesion_f1"]
    assert (figure.low, figure.high) == pytest.approx((0.3, 0.7))


def test_every_method_has_a_row_and_a_place_in_the_chart_in_the_order_of_the_plan() -> None:
    results = [
        result("plain", 0, row("porto", "1", 0.2), row("turku", "1", 0.4)),
        result("two-step", 0, row("porto", "1", 0.5), row("turku", "1", 0.7)),
    ]
    lines = methods_at_unseen(results)
    rows = unseen_rows(lines)
    assert [(r["variant"], r["lesion_f1_worst_site"], r["lesion_f1_at_turku"]) for r in rows] == [
        ("plain", "porto", pytest.approx(0.4)),
        ("two-step", "porto", pytest.approx(0.7)),
    ]
    [figure] = unseen_figures(lines)  # no method has a Dice
    assert figure.name == "unseen-lesion-f1"
    assert figure.drawing.in_words() == (
        "Lesion F1 at unseen sites, mean lesion F1 over the sites. "
        "plain: 0.300, worst site porto 0.200. two-step: 0.600, worst site porto 0.500."
    )
