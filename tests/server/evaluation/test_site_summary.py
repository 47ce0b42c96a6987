from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.evaluation.case_row import CaseRow, Value, as_csv
from server.evaluation.site_summary import (
    NOTHING,
    Spread,
    as_rows,
    spread,
    summarize_site,
    summarize_sites,
    worst_site,
)


def row(subject: str, site: str = "east", **metrics: Value) -> CaseRow:
    return CaseRow(site=site, subject=f"sub-{subject}", session="ses-01", metrics=metrics)


def failed(subject: str, site: str = "east") -> CaseRow:
    return CaseRow(site=site, subject=f"sub-{subject}", session="ses-01", failed="no FLAIR")


def test_a_spread_has_mean_quartiles_and_ends() -> None:
    # sorted 0, 1, 4, 10: median (1 + 4) / 2; q1 lies 0.75 of the way from 0 to 1,
    # q3 0.25 of the way from 4 to 10
    assert spread([4, 0, 10, 1]) == Spread(
        n=4, mean=3.75, median=2.5, q1=0.75, q3=5.5, low=0.0, high=10.0
    )


def test_a_spread_of_nothing_has_no_figure() -> None:
    assert spread([]) == NOTHING
    assert NOTHING.mean is None


def test_undefined_values_enter_no_average_and_failed_cases_count_as_planned() -> None:
    summary = summarize_site(
        [
            row("A", dice=0.9, lesion_f1=0.5, lesion_ppv=None),
            row("B", dice=0.3, lesion_f1=None, lesion_ppv=None),
            row("C", dice=0.0, lesion_f1=0.25, lesion_ppv=None),
            row("D", dice=None, lesion_f1=None, lesion_ppv=None),
            failed("E"),
        ]
    )
    assert (summary.n_scored, summary.n_planned) == (4, 5)
    assert summary.failed == (("sub-E_ses-01", "no FLAIR"),)
    assert summary.metric("dice").mean == pytest.approx(0.4)  # (0.9 + 0.3 + 0.0) / 3
    assert summary.metric("dice").median == 0.3
    assert summary.metric("dice").n == 3
    assert (summary.metric("lesion_f1").mean, summary.metric("lesion_f1").n) == (0.375, 2)
    assert summary.metric("lesion_ppv") == NOTHING
    assert summary.metric("hd95_mm") == NOTHING


def test_the_two_dice_aggregations_differ_where_lesion_loads_do() -> None:
    summary = summarize_site(
        [
            row("A", dice=0.9, tp_voxels=90, fp_voxels=10, fn_voxels=10),
            row("B", dice=0.2, tp_voxels=1, fp_voxels=4, fn_voxels=4),
            row("free", dice=None, tp_voxels=0, fp_voxels=10, fn_voxels=0),
        ]
    )
    assert summary.metric("dice").mean == pytest.approx(0.55)
    # 2 * 91 / (2 * 91 + 24 + 14)
    assert summary.pooled_dice == pytest.approx(182 / 220)
    assert "tp_voxels" not in summary.metrics


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(
            [row("A", dice=0.9, tp_voxels=9, fp_voxels=1, fn_voxels=1), row("B", dice=0.5)],
            id="a row without counts",
        ),
        pytest.param([row("A", tp_voxels=0, fp_voxels=3, fn_voxels=0)], id="no lesion anywhere"),
        pytest.param([failed("A")], id="nothing scored"),
    ],
)
def test_pooled_dice_is_undefined(rows: list[CaseRow]) -> None:
    assert summarize_site(rows).pooled_dice is None


def test_sites_keep_the_order_in_which_they_appear() -> None:
    rows = [row("A", "west", dice=0.5), row("A", "east", dice=0.1), row("B", "west", dice=0.7)]
    summaries = summarize_sites(rows)

    assert [(s.site, s.n_planned) for s in summaries] == [("west", 2), ("east", 1)]


def test_the_worst_site_has_the_lowest_mean_dice_and_the_largest_mean_distance() -> None:
    summaries = summarize_sites(
        [
            row("A", "a", dice=0.5, hd95_mm=30.0),
            row("A", "b", dice=0.2, hd95_mm=10.0),
            row("A", "c", dice=0.7, hd95_mm=None),
            failed("A", "d"),
        ]
    )
    by_dice, by_distance = worst_site(summaries), worst_site(summaries, "hd95_mm")
    assert by_dice is not None
    assert by_dice.site == "b"
    assert by_distance is not None
    assert by_distance.site == "a"


def test_one_site_alone_is_not_the_worst() -> None:
    summaries = summarize_sites([row("A", "a", dice=0.5), failed("A", "d")])
    assert worst_site(summaries) is None


def test_a_site_is_one_flat_row_with_an_empty_field_where_a_figure_is_undefined(
    tmp_path: Path,
) -> None:
    rows = [
        row(
            "A",
            dice=0.5,
            tp_voxels=1,
            fp_voxels=1,
            fn_voxels=1,
            n_reference_lesions=2,
            n_predicted_lesions=1,
            reference_volume_mm3=2_000.0,
            predicted_volume_mm3=1_000.0,
        ),
        failed("B"),
    ]
    [flat] = as_rows(summarize_sites(rows))
    text = as_csv([flat]).decode().splitlines()
    fields = dict(zip(text[0].split(","), text[1].split(","), strict=True))

    assert list(fields)[:4] == ["site", "n_planned", "n_scored", "n_failed"]
    assert (fields["n_planned"], fields["n_scored"], fields["n_failed"]) == ("2", "1", "1")
    assert (fields["dice_n"], fields["dice_mean"], fields["pooled_dice"]) == ("1", "0.5", "0.5")
    assert (fields["volume_agreement_bias_ml"], fields["volume_agreement_low_ml"]) == ("-1.0", "")
    assert (fields["patient_level_sensitivity"], fields["patient_level_specificity"]) == ("1.0", "")
    assert fields["false_detections_n"] == "0"


def test_a_summary_is_ready_for_json() -> None:
    [summary] = summarize_sites([row("A", dice=0.5), failed("B")])
    told = json.loads(json.dumps(summary.as_dict(), allow_nan=False))

    assert told["failed"] == [{"case": "sub-B_ses-01", "reason": "no FLAIR"}]
    assert told["metrics"]["dice"]["mean"] == 0.5
