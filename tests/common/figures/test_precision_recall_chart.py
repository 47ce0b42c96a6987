from __future__ import annotations

import pytest

from common.figures.precision_recall_chart import PrecisionRecallChart
from common.metrics.operating_curves import PrecisionRecallPoint
from tests.common.figures.drawn import (
    assert_readable,
    assert_stands_alone,
    laid_out,
    texts,
    x_of,
    y_of,
)


def point(threshold: float, precision: float, recall: float) -> PrecisionRecallPoint:
    return PrecisionRecallPoint(threshold=threshold, precision=precision, recall=recall)


NORTH = [point(0.0, 0.1, 1.0), point(0.4, 0.4, 0.4), point(0.9, 1.0, 0.2)]
CHART = PrecisionRecallChart(title="Voxels", series={"north": NORTH, "free": []}, threshold=0.4)


def test_the_words_give_the_average_precision_and_the_point_in_use() -> None:
    # 1.0 * 0.2 + 0.4 * (0.4 - 0.2) + 0.1 * (1.0 - 0.4) = 0.34
    assert CHART.in_words() == (
        "Voxels: precision against recall over voxels. north: average precision 0.340, at "
        "threshold 0.4 precision 0.400 and recall 0.400. free: undefined, there is no lesion voxel."
    )


def test_the_legend_gives_the_average_precision() -> None:
    assert {"north (AP 0.34)", "free (no lesion)", "threshold in use, 0.4"} <= set(texts(CHART))


def test_the_lines_of_equal_dice_have_that_dice() -> None:
    [axes] = laid_out(CHART).axes
    levels = [line for line in axes.lines if line.get_color() == "#999999"]
    assert len(levels) == 4
    for line, dice in zip(levels, (0.2, 0.4, 0.6, 0.8), strict=True):
        recall, precision = x_of(line), y_of(line)
        for at in (0, 50, -1):
            harmonic = 2 * recall[at] * precision[at] / (recall[at] + precision[at])
            assert harmonic == pytest.approx(dice)


def test_a_chart_without_a_point_is_empty_and_still_drawn() -> None:
    for drawn in (
        PrecisionRecallChart(title="x", series={}),
        PrecisionRecallChart(title="x", series={"free": []}),
    ):
        assert drawn.is_empty
        assert_stands_alone(drawn)
    assert not CHART.is_empty


@pytest.mark.parametrize("n", [1, 20])
def test_nothing_overlaps_with_one_site_or_twenty(n: int) -> None:
    series = {f"$hospital$ < of_a & very-very-long-name-{i}": NORTH for i in range(n)}
    drawn = PrecisionRecallChart(title="x", series=series, threshold=0.4)
    assert_readable(drawn)


def test_a_single_point_in_the_corner_is_drawn() -> None:
    drawn = PrecisionRecallChart(title="x", series={"a": [point(0.5, 1.0, 1.0)]}, threshold=0.5)
    assert_readable(drawn)


def test_the_drawing_stands_alone_and_is_the_same_every_time() -> None:
    assert_stands_alone(CHART)
