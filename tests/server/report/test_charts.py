from __future__ import annotations

from pathlib import Path

from common.figures.curves import Chart
from server.events.history import read_run
from server.report.charts import run_charts
from tests.server.report.made_run import Line, reply, started, whole_run, written


def charts(tmp_path: Path, lines: list[Line]) -> dict[str, Chart]:
    record = read_run(written(tmp_path / "toy", lines) / "events.jsonl")
    return {chart.title: chart for chart in run_charts(record, threshold_name="FLAIR threshold")}


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


def test_estimated_and_true_lesion_f1_of_a_site_stand_side_by_side(tmp_path: Path) -> None:
    lines = [
        started(),
        reply("north", 1, estimated_lesion_f1=0.5, true_lesion_f1=0.25),
        reply("north", 2, estimated_lesion_f1=0.75, true_lesion_f1=None),
        reply("south", 2, estimated_lesion_f1=None, true_lesion_f1=None),
    ]
    chart = charts(tmp_path, lines)["Lesion F1 of the training patches: estimated and true"]

    assert {c.label: c.defined for c in chart.curves} == {
        "north (estimated)": [(1, 0.5), (2, 0.75)],
        "north (true)": [(1, 0.25)],
    }
    assert [c.companion for c in chart.curves] == [False, True]


def test_the_rounds_of_a_second_network_count_on_and_its_beginning_is_marked(
    tmp_path: Path,
) -> None:
    first = [{**reply("north", at, loss=0.9), "phase": "training-first"} for at in (1, 2)]
    second = {**reply("north", 1, loss=0.5), "phase": "training-second"}

    assert charts(tmp_path, [started(), *first])["Training loss"].divided_after == {}
    chart = charts(tmp_path, [started(), *first, second])["Training loss"]
    assert chart.curves[0].rounds == (1, 2, 3)
    assert chart.divided_after == {2: "second network"}
