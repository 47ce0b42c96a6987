from __future__ import annotations

import pytest

from common.figures.paired_differences import MetricDifference, PairedCase, PairedDifferences
from tests.common.figures.drawn import assert_readable, assert_stands_alone, laid_out, texts, x_of


def metric(
    name: str,
    *differences: float,
    unit: str = "",
    mean: float | None,
    interval: tuple[float, float] | None = None,
) -> MetricDifference:
    """One metric; the first case is of north, the others of south."""
    cases = [
        PairedCase(site="south" if index else "north", case=f"sub-{index}", difference=difference)
        for index, difference in enumerate(differences)
    ]
    return MetricDifference(metric=name, unit=unit, cases=cases, mean=mean, interval=interval)


def chart(*metrics: MetricDifference) -> PairedDifferences:
    return PairedDifferences(
        title="Comparison",
        first="federated",
        second="local",
        interval="95 % BCa interval",
        metrics=metrics,
    )


DICE = metric("Dice", 0.1, -0.02, 0.04, mean=0.04, interval=(-0.01, 0.09))
F1 = metric("lesion F1", 0.2, 0.0, 0.1, mean=0.1, interval=(0.05, 0.15))
HD95 = metric("HD95", -5.0, 2.0, -9.0, unit="mm", mean=-4.0, interval=(-8.5, 1.25))
THREE = chart(DICE, HD95, F1)
ONE = chart(metric("Dice", 0.0, mean=0.0))


def test_the_words_give_mean_interval_and_both_extremes_of_every_metric() -> None:
    assert chart(DICE, HD95).in_words() == (
        "Comparison: federated minus local, mean with 95 % BCa interval. "
        "Dice: +0.040 [-0.010, +0.090] over 3 cases, from -0.020 (sub-1 of south) to +0.100 "
        "(sub-0 of north). "
        "HD95: -4.00 [-8.50, +1.25] mm over 3 cases, from -9.000 (sub-2 of south) to +2.000 "
        "(sub-1 of south)."
    )


def test_distances_have_panels_of_their_own() -> None:
    figure = laid_out(THREE)
    rows = [[label.get_text() for label in axes.get_yticklabels()] for axes in figure.axes[::2]]
    assert rows == [["Dice", "lesion F1"], ["HD95"]]
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "difference, share",
        "mean difference, share",
        "difference, mm",
        "mean difference, mm",
    ]


def test_every_case_is_a_dot_whose_marker_tells_its_site() -> None:
    cases = laid_out(chart(DICE)).axes[0]
    dots = {
        (x_of(line)[0], line.get_marker()) for line in cases.lines if line.get_markersize() == 4.5
    }
    assert dots == {(0.1, "o"), (-0.02, "s"), (0.04, "s")}
    assert {"north", "south"} <= set(texts(chart(DICE)))


def test_the_means_are_written_beside_their_intervals() -> None:
    assert {"+0.040 [-0.010, +0.090]", "-4.00 [-8.50, +1.25]"} <= set(texts(THREE))


def test_zero_is_always_in_the_picture() -> None:
    far = chart(metric("Dice", 0.5, 0.6, mean=0.55, interval=(0.52, 0.58)))
    for axes in laid_out(far).axes:
        low, high = axes.get_xlim()
        assert low < 0 < high


def test_too_few_cases_for_an_interval_is_said() -> None:
    assert "0.000 (too few cases for an interval)" in texts(ONE)
    assert "0.000 (too few cases for an interval) over 1 case," in ONE.in_words()


def test_a_metric_without_a_case_keeps_its_row() -> None:
    drawn = chart(DICE, metric("ASSD", unit="mm", mean=None))
    assert "no case" in texts(drawn)
    assert "ASSD: no case." in drawn.in_words()


def test_without_a_case_the_chart_is_empty_and_still_drawn() -> None:
    for drawn in (chart(), chart(metric("Dice", mean=None))):
        assert drawn.is_empty
        assert_stands_alone(drawn)
    assert not THREE.is_empty


def crowded() -> PairedDifferences:
    """Twenty sites with long names, metrics of three units, a network with a long name."""
    cases = [
        PairedCase(site=f"$hospital$ < of_a & very-long-name-{i}", case=f"s{i}", difference=1e3 * i)
        for i in range(20)
    ]
    metrics = [
        MetricDifference(metric=name, unit=unit, cases=cases, mean=9500.0, interval=(7e3, 1.2e4))
        for name, unit in (("Dice", ""), ("F1", ""), ("HD95", "mm"), ("relative volume", "%"))
    ]
    return PairedDifferences(
        title="x", first="federated-" * 8, second="pooled-" * 9, interval="95 % CI", metrics=metrics
    )


@pytest.mark.parametrize("drawn", [THREE, ONE, crowded()], ids=["three", "one case", "crowded"])
def test_nothing_overlaps_or_leaves_the_figure(drawn: PairedDifferences) -> None:
    assert_readable(drawn)


def test_the_drawing_stands_alone_and_is_the_same_every_time() -> None:
    assert_stands_alone(THREE)
