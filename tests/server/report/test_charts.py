from __future__ import annotations

from pathlib import Path

from common.figures.curves import Chart
from server.report.charts import run_charts
from server.report.run_record import read_run
from server.report.verdict import site_verdict
from tests.server.report.made_run import Line, started, whole_run, written


def charts(tmp_path: Path, lines: list[Line]) -> dict[str, Chart]:
    record = read_run(written(tmp_path / "toy", lines) / "events.jsonl")
    unseen = [site_verdict(record, site) for site in record.sites("unseen")]
    return {chart.title: chart for chart in run_charts(record, unseen)}


def test_each_training_site_has_its_loss(tmp_path: Path) -> None:
    curves = charts(tmp_path, whole_run())["Training loss"].curves

    assert {c.label: c.defined for c in curves} == {
        "north": [(1, 0.9), (2, 0.5)],
        "south": [(1, 0.95)],
    }


def test_a_sites_own_validation_stands_at_the_round_that_made_the_parameters(
    tmp_path: Path,
) -> None:
    curves = {c.label: c for c in charts(tmp_path, whole_run())["Dice"].curves}

    assert curves["north (own validation)"].defined == [(0, 0.05), (1, 0.35)]
    assert "south (own validation)" not in curves


def test_the_unseen_site_stands_out_beside_validation_and_threshold(tmp_path: Path) -> None:
    chart = charts(tmp_path, whole_run())["Dice"]
    curves = {c.label: c for c in chart.curves}

    assert curves["east (unseen)"].defined == [(0, 0.01), (2, (0.8 + 0.4) / 2)]
    assert curves["west (validation)"].defined == [(0, 0.01), (2, 0.55)]
    assert [c.label for c in chart.curves if c.emphasis] == ["east (unseen)"]
    assert chart.levels == {"east: FLAIR threshold": 0.2}
    assert chart.marked_round == 2


def test_a_threshold_without_lesion_f1_is_left_out_of_that_chart(tmp_path: Path) -> None:
    assert charts(tmp_path, whole_run())["Lesion F1"].levels == {}


def test_a_run_that_has_trained_nothing_has_no_chart(tmp_path: Path) -> None:
    assert charts(tmp_path, [started()]) == {}
