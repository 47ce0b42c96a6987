from __future__ import annotations

import pytest

from common.figures.froc_chart import FrocChart
from common.metrics.operating_curves import FrocPoint
from tests.common.figures.drawn import (
    assert_readable,
    assert_stands_alone,
    laid_out,
    texts,
    x_of,
    y_of,
)


def point(threshold: float, false: float, sensitivity: float | None) -> FrocPoint:
    return FrocPoint(
        threshold=threshold, false_positives_per_case=false, lesion_sensitivity=sensitivity
    )


NORTH = [point(0.2, 8.5, 0.9), point(0.5, 2.0, 0.75), point(0.8, 0.25, 0.4)]
FREE = [point(0.2, 1.0, None)]
CHART = FrocChart(title="FROC", series={"north": NORTH, "free": FREE}, threshold=0.5)


def test_the_words_give_both_ends_and_the_point_in_use() -> None:
    assert CHART.in_words() == (
        "FROC: lesion sensitivity against false-positive lesions per case. "
        "north: 0.900 at 8.50 per case (threshold 0.2); 0.400 at 0.25 per case (threshold 0.8); "
        "0.750 at 2.00 per case (threshold 0.5). free: undefined, there is no reference lesion."
    )


def test_a_series_without_a_lesion_stays_in_the_legend() -> None:
    assert {"north", "free (no lesion)", "threshold in use, 0.5"} <= set(texts(CHART))


def test_the_point_in_use_is_ringed() -> None:
    [axes] = laid_out(CHART).axes
    rings = [line for line in axes.lines if line.get_markersize() == 10 and x_of(line)]
    assert [(*x_of(ring), *y_of(ring)) for ring in rings] == [(2.0, 0.75)]


def test_a_chart_without_a_sensitivity_is_empty_and_still_drawn() -> None:
    for drawn in (FrocChart(title="x", series={}), FrocChart(title="x", series={"free": FREE})):
        assert drawn.is_empty
        assert_stands_alone(drawn)
    assert not CHART.is_empty


@pytest.mark.parametrize("most", [0.0, 0.3, 1.0, 17.0, 100.0, 3000.0, 2e5])
def test_every_point_lies_on_the_axis_and_no_two_ticks_touch(most: float) -> None:
    drawn = FrocChart(title="x", series={"a": [point(0.1, most, 1.0), point(0.9, 0.0, 0.0)]})
    [axes] = laid_out(drawn).axes
    low, high = axes.get_xlim()
    assert low <= 0 <= most <= high
    assert_readable(drawn)


def test_twenty_series_with_long_names_are_drawn() -> None:
    series = {f"$hospital$ < of_a & very-very-long-name-{i}": NORTH for i in range(20)}
    drawn = FrocChart(title="x", series=series, threshold=0.5)
    assert_readable(drawn)


def test_the_drawing_stands_alone_and_is_the_same_every_time() -> None:
    assert_stands_alone(CHART)
