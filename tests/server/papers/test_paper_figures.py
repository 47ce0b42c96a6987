from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from common.metrics.lesion import LesionCounts
from common.metrics.threshold_sweep import ThresholdCounts
from common.metrics.voxel import VoxelCounts
from server.evaluation.case_row import CaseRow
from server.events.history import RunHistory, read_run
from server.papers.evaluated_run import EvaluatedRun
from server.papers.paper_figures import (
    paper_figures,
    split_chart,
    threshold_boxes,
    validation_curves,
)

STARTED = {
    "event": "run-started", "run": "r", "engine": "inline", "recipe_name": "x",
    "recipe_sha256": "0", "code_digest": "0", "sites": [],
}  # fmt: skip


def told(folder: Path, *events: dict[str, Any]) -> RunHistory:
    """The run that these events tell of."""
    path = folder / "events.jsonl"
    lines = [json.dumps({"time": "2026-01-01T10:00:00+00:00", **e}) for e in (STARTED, *events)]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return read_run(path)


def evaluated(index: int, *dice: float | None, role: str = "validation") -> dict[str, Any]:
    cases = [{"subject": f"sub-{n}", "dice": value} for n, value in enumerate(dice)]
    return {
        "event": "evaluated", "round": index, "site": f"a-{role}-site", "role": role,
        "method": "network", "cases": cases,
    }  # fmt: skip


def run(
    label: str, record: RunHistory | None, *, seed: int = 0, rows: Sequence[CaseRow] = ()
) -> EvaluatedRun:
    return EvaluatedRun(label=label, seed=seed, rows=rows, sweeps={}, record=record)


def test_the_validation_curve_is_the_mean_over_cases_and_then_over_runs(tmp_path: Path) -> None:
    # seed 0: round 0: 0.1, round 2: mean of 0.2 and 0.4 = 0.3; seed 1: round 2: 0.7; so 0.1 and 0.5
    first = told(
        tmp_path, evaluated(0, 0.1), evaluated(2, 0.2, 0.4, None), evaluated(2, 1.0, role="unseen")
    )
    second = told(tmp_path, evaluated(2, 0.7))
    chart = validation_curves([run("BM", first), run("BM", second, seed=1), run("random", None)])
    [curve] = chart.curves
    assert (curve.label, curve.rounds) == ("BM", (0, 2))
    assert curve.values == pytest.approx((0.1, 0.5))


def test_without_a_validation_site_the_curve_is_of_the_cases_that_sites_keep(
    tmp_path: Path,
) -> None:
    # a site scores what it receives: the reply of round 1 is about round 0
    replies = [
        {"event": "reply", "phase": "training", "round": 1, "site": site,
         "facts": {"validation_dice": dice}}
        for site, dice in (("lyon", 0.2), ("ghent", 0.3), ("turin", None))
    ]  # fmt: skip
    [curve] = validation_curves([run("BM", told(tmp_path, *replies))]).curves
    assert curve.rounds == (0,)
    assert curve.values == pytest.approx((0.25,))


def test_where_the_sites_chose_the_round_the_curve_is_the_mean_over_all_their_cases(
    tmp_path: Path,
) -> None:
    """The sites' own means, of one case and of three, would give (0.8 + 0.4) / 2."""
    events = [
        {"event": "sites-validated", "round": 1, "n_cases": 4, "n_sites": 2, "mean_dice": 0.5},
        {"event": "reply", "phase": "training", "round": 2, "site": "lyon",
         "facts": {"validation_dice": 0.8}},
        {"event": "reply", "phase": "training", "round": 2, "site": "ghent",
         "facts": {"validation_dice": 0.4}},
    ]  # fmt: skip
    [curve] = validation_curves([run("BM", told(tmp_path, *events))]).curves
    assert (curve.rounds, curve.values) == ((1,), (0.5,))


def test_the_boxes_hold_each_case_at_each_threshold() -> None:
    # Dice 2 x 2 / (4 + 1 + 1) = 0.667; 0 / (0 + 2 + 0) = 0; empty against empty is undefined
    lesions = LesionCounts.__new__(LesionCounts)  # not looked at
    sweeps = {
        ("oslo", f"sub-{n}"): [
            ThresholdCounts(
                threshold=0.5, voxels=VoxelCounts(tp=tp, fp=fp, fn=fn, tn=9), lesions=lesions
            )
        ]
        for n, (tp, fp, fn) in enumerate(((2, 1, 1), (0, 0, 2), (0, 0, 0)))
    }
    rows = [CaseRow(site="oslo", subject=f"sub-{n}") for n in range(3)]
    judged = EvaluatedRun(label="dice", seed=0, rows=rows, sweeps=sweeps, record=None)
    [method] = threshold_boxes([judged]).methods
    assert method.values == {0.5: pytest.approx((2 / 3, 0.0))}
    common = EvaluatedRun(label="dice", seed=0, rows=rows[:1], sweeps=sweeps, record=None)
    [method] = threshold_boxes([common]).methods  # the others were taken out: not common to all
    assert method.values == {0.5: pytest.approx((2 / 3,))}


def test_the_split_is_what_sites_reported_and_the_unseen_cases_hold(tmp_path: Path) -> None:
    part = {"n_subjects": 2, "n_cases": 3, "n_lesions": 5, "lesion_volume_ml": 1.5}
    split = {"event": "site-split", "site": "lyon", "parts": {"training": part}}
    rows = [
        CaseRow(
            site="oslo", subject="sub-1",
            metrics={"n_reference_lesions": 2, "reference_volume_mm3": 250.0},
        ),
        CaseRow(site="oslo", subject="sub-2", metrics={"n_reference_lesions": None}),
        CaseRow(site="oslo", subject="sub-3", failed="cut off"),
    ]  # fmt: skip
    chart = split_chart([run("a", None, rows=rows), run("b", told(tmp_path, split), rows=rows)])
    found = [(p.part, p.site, p.n_cases, p.n_lesions, p.lesion_ml) for p in chart.parts]
    assert found == [("training", "lyon", 3, 5, 1.5), ("unseen", "oslo", 2, 2, 0.25)]


def test_the_split_is_not_that_of_a_run_without_a_result(tmp_path: Path) -> None:
    part = {"n_subjects": 2, "n_cases": 3, "n_lesions": 5, "lesion_volume_ml": 1.5}
    split = {"event": "site-split", "site": "lyon", "parts": {"training": part}}
    record = told(tmp_path, split)
    failed = [CaseRow(site="oslo", subject="sub-1", failed="the run failed")]
    rows = [CaseRow(site="oslo", subject="sub-1", metrics={"n_reference_lesions": 2})]
    chart = split_chart([run("a", record, rows=failed), run("b", record, rows=rows)])
    assert [(p.part, p.n_cases) for p in chart.parts] == [("training", 3), ("unseen", 1)]


def test_a_cascades_second_network_has_no_point_before_it_has_trained(tmp_path: Path) -> None:
    """Two rounds each: replies score rounds 0, 1, then the untrained pair, then round 3."""
    replies = [
        {"event": "reply", "phase": phase, "round": index, "site": "lyon",
         "facts": {"validation_dice": dice}}
        for phase, index, dice in (
            ("training-first", 1, 0.1), ("training-first", 2, 0.3),
            ("training-second", 1, 0.0), ("training-second", 2, 0.5),
        )
    ]  # fmt: skip
    [curve] = validation_curves([run("base", told(tmp_path, *replies))]).curves
    assert curve.rounds == (0, 1, 3)
    assert curve.values == pytest.approx((0.1, 0.3, 0.5))


def test_only_figures_with_something_to_show_are_made(tmp_path: Path) -> None:
    assert paper_figures("hussein2023", [run("a", None)]) == []
    figures = paper_figures("aslani2020", [run("BM", told(tmp_path, evaluated(0, 0.1)))])
    assert [figure.name for figure in figures] == ["validation-dice"]
