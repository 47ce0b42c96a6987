from __future__ import annotations

import json

import pytest

from common.errors import ConfigError
from server.compare.cases import RunCases, SharedCases, shared_cases
from server.compare.paired import DEFAULT_METRICS, compare
from server.compare.table import as_dict, as_rows
from server.evaluation.case_row import CaseRow
from tests.server.compare.tables import failed, row


def shared(**runs: list[CaseRow]) -> SharedCases:
    return shared_cases(
        [
            RunCases(label, {(r.site, r.subject, r.session): r for r in rows})
            for label, rows in runs.items()
        ],
        common_only=False,
    )


FIRST = [
    row("east", "sub-1", "ses-1", dice=0.50, lesion_f1=0.5, hd95_mm=10.0),
    row("east", "sub-1", "ses-2", dice=0.40, lesion_f1=0.5, hd95_mm=10.0),
    row("east", "sub-2", "ses-1", dice=0.30, lesion_f1=None, hd95_mm=10.0),
    row("west", "sub-1", "ses-1", dice=0.60, lesion_f1=0.5, hd95_mm=None),
    row("west", "sub-2", "ses-1", dice=0.70, lesion_f1=0.5, hd95_mm=10.0),
    row("west", "sub-3", "ses-1", dice=0.70, lesion_f1=0.5, hd95_mm=10.0),
]
OTHER = [
    row("east", "sub-1", "ses-1", dice=0.60, lesion_f1=0.5, hd95_mm=8.0),  # Dice +0.10
    row("east", "sub-1", "ses-2", dice=0.60, lesion_f1=0.5, hd95_mm=8.0),  # +0.20
    row("east", "sub-2", "ses-1", dice=0.60, lesion_f1=0.7, hd95_mm=None),  # +0.30
    row("west", "sub-1", "ses-1", dice=0.55, lesion_f1=0.5, hd95_mm=None),  # -0.05
    row("west", "sub-2", "ses-1", dice=0.70, lesion_f1=0.7, hd95_mm=8.0),  # 0
    failed("west", "sub-3", "ses-1"),
]


def test_a_comparison_by_hand() -> None:
    [dice] = compare(shared(first=FIRST, other=OTHER), metrics=["dice"]).metrics

    assert (dice.n, dice.n_subjects, dice.n_failed, dice.n_undefined) == (5, 4, 1, 0)
    assert dice.mean_first == pytest.approx(0.5)  # 2.5 / 5, without the failed case's 0.7
    assert dice.mean_other == pytest.approx(0.61)  # 3.05 / 5
    assert dice.mean_difference == pytest.approx(0.11)
    # without the zero: 0.05, 0.1, 0.2, 0.3 have ranks 1 to 4, the first is a loss
    assert dice.rank_biserial == pytest.approx((9 - 1) / 10)
    # of 16 sign patterns 2 have a sum of at most 1
    assert dice.p == pytest.approx(2 * 2 / 16)
    assert dice.interval is not None
    low, high = dice.interval
    assert low < 0.11 < high
    assert [(d.site, d.n) for d in dice.by_site] == [("east", 3), ("west", 2)]
    assert [d.mean_difference for d in dice.by_site] == pytest.approx([0.2, -0.025])


def test_a_case_undefined_in_either_run_is_left_out_of_that_metric_and_counted() -> None:
    f1, distance = compare(
        shared(first=FIRST, other=OTHER), metrics=["lesion_f1", "hd95_mm"]
    ).metrics

    assert (f1.n, f1.n_failed, f1.n_undefined) == (4, 1, 1)
    assert f1.mean_difference == pytest.approx(0.05)  # 0, 0, 0, 0.2
    assert (distance.n, distance.n_failed, distance.n_undefined) == (3, 1, 2)
    assert distance.mean_difference == -2.0


def test_p_is_corrected_over_metrics_and_over_pairs_of_runs() -> None:
    gains = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    runs = {
        label: [row("east", f"sub-{n}", dice=sign * gain) for n, gain in enumerate(gains)]
        for label, sign in (("a", 0), ("b", 1), ("c", -1))
    }
    b, c = compare(shared(**runs), metrics=["dice"]).metrics

    assert (b.first, b.other, c.first, c.other) == ("a", "b", "a", "c")
    assert (b.rank_biserial, c.rank_biserial) == (1, -1)
    assert b.p == c.p == 2 / 64
    assert b.p_holm == c.p_holm == 4 / 64


def test_without_metrics_the_default_ones_are_compared_and_a_missing_one_is_undefined() -> None:
    comparison = compare(shared(first=FIRST, other=OTHER))
    missing = comparison.metrics[DEFAULT_METRICS.index("lesion_ppv")]

    assert [line.metric for line in comparison.metrics] == list(DEFAULT_METRICS)
    assert (missing.n, missing.n_undefined, missing.n_failed) == (0, 5, 1)
    assert (missing.mean_difference, missing.rank_biserial, missing.interval) == (None,) * 3
    assert (missing.p, missing.p_holm) == (None, None)


def test_a_metric_that_no_table_has_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--metric dcie: no such column.*dice, lesion_f1"):
        compare(shared(first=FIRST, other=OTHER), metrics=["dice", "dcie"])


def test_a_metric_asked_for_twice_is_one_test() -> None:
    comparison = compare(shared(first=FIRST, other=OTHER), metrics=["dice", "dice"])
    assert len(comparison.metrics) == 1


def test_one_patient_a_site_gives_no_interval() -> None:
    rows = [row(site, "sub-1", dice=0.5) for site in ("east", "west")]
    other = [row(site, "sub-1", dice=0.6) for site in ("east", "west")]
    [dice] = compare(shared(first=rows, other=other), metrics=["dice"]).metrics

    assert dice.mean_difference == pytest.approx(0.1)
    assert dice.interval is None


def test_rows_and_json_tell_the_same() -> None:
    comparison = compare(shared(first=FIRST, other=OTHER))
    rows = as_rows(comparison)
    told = json.loads(json.dumps(as_dict(comparison), allow_nan=False))

    assert [{name: line[name] for name in rows[0]} for line in told["metrics"]] == rows
    assert told["metrics"][0]["by_site"][1]["site"] == "west"
    assert len(told["metrics"][0]["cases"]) == 5
    assert "No significance test is made across sites" in told["note"]
