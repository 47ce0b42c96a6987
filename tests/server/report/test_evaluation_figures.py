from __future__ import annotations

from pathlib import Path

import pytest

from common.recipe.task_labels import TaskLabels
from server.evaluation.evaluation_folder import EvaluationFolder
from server.report.evaluation_figures import (
    EvaluationTables,
    evaluation_drawings,
    read_evaluation,
    where_tested,
)
from tests.server.evaluation.made_evaluation import DEFINITION, baseline, failed, scored

WORDS = TaskLabels(threshold="T2w threshold", lesions="lesions", images="T2w", region="cord region")


@pytest.fixture
def judged(tmp_path: Path) -> EvaluationTables:
    folder = EvaluationFolder(tmp_path)
    folder.write(scored(), failed(), definition=DEFINITION)
    folder.write_baseline(baseline())
    read = read_evaluation(folder)
    assert read is not None
    return read


def in_words(judged: EvaluationTables, stem: str) -> str:
    comparison = judged.comparison(WORDS.threshold)
    return evaluation_drawings(judged, None, comparison, words=WORDS)[stem].in_words()


def test_before_the_verdict_there_is_nothing_to_draw(tmp_path: Path) -> None:
    assert read_evaluation(EvaluationFolder(tmp_path)) is None


def test_the_failed_case_counts_among_the_planned_ones_of_its_site(
    judged: EvaluationTables,
) -> None:
    words = in_words(judged, "dice-by-site")
    assert "1 of 2 cases" in words  # west: sub-A scored, sub-C failed
    assert "2 of 2 cases" in words
    assert "sub-B" in words  # the worst of east
    assert "0.400" in words


def test_froc_pools_the_lesions_of_all_sites(judged: EvaluationTables) -> None:
    words = in_words(judged, "froc")
    # at 0.25 three of three lesions and one false lesion a case; at 0.75 one of three, none false
    assert "all unseen sites" in words
    assert "1.000" in words
    assert "0.333" in words


def test_the_reliability_diagram_has_the_error_worked_by_hand(judged: EvaluationTables) -> None:
    # 90 voxels say 0.05 and 0 are lesion; 10 say 0.85 and half are:
    # 0.9 * 0.05 + 0.1 * 0.35 = 0.08; of the suspected 10 alone 0.35
    words = in_words(judged, "reliability")
    assert "0.080" in words
    assert "0.350" in words


def test_the_figures_name_the_threshold_and_the_region_of_the_task(
    judged: EvaluationTables,
) -> None:
    assert "T2w threshold" in in_words(judged, "network-minus-threshold")
    assert "ECE, all cord region voxels" in in_words(judged, "reliability")


def test_the_bias_of_volume_is_that_of_the_table(judged: EvaluationTables) -> None:
    # -4, +10 and 0 mL
    assert "Bias +2.00 mL" in in_words(judged, "volume-agreement")


def test_the_network_is_set_against_the_threshold_case_by_case(judged: EvaluationTables) -> None:
    comparison = judged.comparison(WORDS.threshold)
    assert comparison is not None
    [dice] = [line for line in comparison.metrics if line.metric == "dice"]
    assert [round(pair.difference, 9) for pair in dice.pairs] == [0.2, 0.2, -0.2]
    assert dice.n_failed == 1


def test_a_baseline_over_other_cases_is_not_compared(
    tmp_path: Path, judged: EvaluationTables
) -> None:
    folder = EvaluationFolder(tmp_path)
    folder.write_baseline(baseline()[:2])
    read = read_evaluation(folder)
    assert read is not None
    assert read.comparison(WORDS.threshold) is None
    assert "network-minus-threshold" not in evaluation_drawings(read, None, None, words=WORDS)


def test_the_unseen_sweep_is_marked_as_not_used(judged: EvaluationTables) -> None:
    words = in_words(judged, "threshold")
    assert "unseen (not used)" in words
    assert "Chosen: 0.5" in words


def test_the_matrix_frames_the_sites_that_trained() -> None:
    matrix = where_tested(
        {"network": {"east": 0.5, "north": None}, "FLAIR threshold": {"east": 0.25}}, ["north"]
    )
    assert matrix.columns == ("east", "north")
    assert [row.values for row in matrix.rows] == [(0.5, None), (0.25, None)]
    assert matrix.rows[0].own == frozenset({"north"})
