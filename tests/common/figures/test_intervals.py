from __future__ import annotations

from common.figures.intervals import IntervalChart, IntervalRow
from tests.common.figures.drawn import assert_readable, assert_stands_alone, laid_out

CHART = IntervalChart(
    title="Lesion F1 at unseen sites",
    x_label="mean lesion F1 over the sites",
    lowest="worst site",
    rows=[
        IntervalRow(label="plain", mean=0.3, interval=(0.2, 0.45), lowest=("porto", 0.1)),
        IntervalRow(label="two-step", mean=0.6, interval=None, lowest=None),
    ],
)


def test_the_words_give_mean_interval_and_worst_site_of_every_row() -> None:
    assert CHART.in_words() == (
        "Lesion F1 at unseen sites, mean lesion F1 over the sites. "
        "plain: 0.300 (0.200 to 0.450), worst site porto 0.100. two-step: 0.600."
    )


def test_rows_stand_in_their_order_with_the_first_on_top() -> None:
    [axes] = laid_out(CHART).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["plain", "two-step"]
    low, high = axes.get_ylim()
    assert low > high


def test_the_chart_is_readable_and_refers_to_nothing_outside_itself() -> None:
    assert_readable(CHART)
    assert_stands_alone(CHART)


def test_a_chart_without_rows_is_empty() -> None:
    assert IntervalChart(title="t", x_label="x", lowest="w", rows=[]).is_empty
